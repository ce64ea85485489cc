"""Write a checkpoint's policy in other people's formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ibc.checkpoint import load_checkpoint
from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config
from ibc.errors import UserError
from ibc.export import export_onnx, save_folder

#: What ``format=`` may be.
FORMATS = ("onnx", "safetensors")


def export(config: Config) -> None:
    """Write the folder ``output``.

    Raises:
        UserError: an unknown format, a folder that exists, a policy that cannot be exported, or a key that the format
            has no use for.
    """
    output = Path(config["output"]).expanduser()
    if config["format"] == "onnx":
        if config["license"] is not None:
            raise UserError("license is for the card of format=safetensors; format=onnx has none")
        checkpoint, policy = load_for_command(config, torch.device("cpu"))
        export_onnx(policy, output, num_execute_steps=num_execute_steps(config, checkpoint))
    elif config["format"] == "safetensors":
        if config["compose"] is not None:
            raise UserError("format=safetensors holds a policy of its own, no composition")
        checkpoint = load_checkpoint(Path(config["checkpoint"]).expanduser())
        steps = num_execute_steps(config, checkpoint)
        before = checkpoint.policy, checkpoint.config.get("num_execute_steps")
        is_as_measured = before == (config["policy"], steps)
        chosen = replace(
            checkpoint,
            policy=config["policy"],
            config={**checkpoint.config, "num_execute_steps": steps},
            about={
                k: v for k, v in checkpoint.about.items() if k != "success_rate" or is_as_measured
            },
        )
        save_folder(chosen, output, license_name=config["license"])
    else:
        raise UserError(f"format={config['format']}; allowed: {', '.join(FORMATS)}")
    print(f"folder: {output}")
