"""A checkpoint as a folder for a hub: weights, configuration, and a card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibc.checkpoint import FORMAT_VERSION, Checkpoint, digest
from ibc.export.onnx import write_folder
from ibc.model_folder import CARD, CONFIG, WEIGHTS, pack_weights
from ibc.spec import Spec

#: Keys of a run that tell of its machine and its moment.
_LOCAL = ("resume", "run_dir", "video", "device", "logger", "wandb")


def save_folder(checkpoint: Checkpoint, folder: Path, *, license_name: str | None = None) -> None:
    """Write a folder that :func:`ibc.load_policy` reads; the state of the trainer is left out.

    Args:
        checkpoint: of a run, or written by a policy's ``save``.
        folder: which does not exist yet.
        license_name: of the weights, as hubs call it, such as ``apache-2.0``.

    Raises:
        UserError: the folder exists or cannot be written, or safetensors is not installed.
    """
    config = {
        "format_version": FORMAT_VERSION,
        "policy": dict(checkpoint.policy),
        "spec": checkpoint.spec.to_dict(),
        "digest": digest(checkpoint.weights),
        "config": {k: v for k, v in checkpoint.config.items() if k not in _LOCAL},
        "about": dict(checkpoint.about),
    }
    files = {
        WEIGHTS: pack_weights(checkpoint.weights),
        CONFIG: (json.dumps(config, indent=1) + "\n").encode(),
        CARD: card(checkpoint, license_name).encode(),
    }
    write_folder(folder, files)


def card(checkpoint: Checkpoint, license_name: str | None = None) -> str:
    """The card: task, data, figures, command and license, with the head that hubs read."""
    config, about = checkpoint.config, checkpoint.about
    name, task = config.get("name", "policy"), config.get("env", {}).get("id")
    executed = config.get("num_execute_steps")
    steps = f", num_execute_steps={executed}" if executed else ""
    head = ["library_name: ibc", "pipeline_tag: robotics", "tags: [robotics, behavior-cloning]"]
    if license_name is not None:
        head.insert(0, f"license: {license_name}")
    return "\n".join(
        [
            "---",
            *head,
            "---",
            "",
            f"# {name}",
            "",
            f"A policy of the package `ibc`: {_kind(checkpoint.policy)}.",
            "",
            f"- Task: {task or 'not recorded'}",
            f"- Data: {_data(about.get('data'))}",
            f"- Success in {config.get('evaluation', {}).get('num_episodes', 'the')} episodes after training: "
            f"{_percent(about.get('success_rate'))}",
            f"- Trained: {_training(config, about)}",
            f"- License: {license_name or 'not stated'}",
            "",
            "It sees and does:",
            "",
            *_spec(checkpoint.spec),
            "",
            *(["```", "ibc evaluate checkpoint=FOLDER", "```", ""] if task else []),
            "```python",
            "import ibc",
            "",
            f'controller = ibc.Controller(ibc.load_policy("FOLDER"){steps})',
            "controller.reset(seed=0)",
            "```",
            "",
        ]
    )


def _kind(policy: Mapping[str, Any]) -> str:
    parts = [policy, policy.get("energy"), policy.get("sampler")]
    names = [
        str(part["_target_"]).rpartition(".")[2] for part in parts if isinstance(part, Mapping)
    ]
    return ", ".join(names)


def _data(data: Mapping[str, Any] | None) -> str:
    if not data:
        return "not recorded"
    return (
        f"{data.get('path')}, {data.get('num_episodes')} episodes, {data.get('num_steps')} steps "
        f"(sha256 {str(data.get('sha256'))[:16]})"
    )


def _training(config: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    if "step" not in about:
        return "not recorded"
    return (
        f"{about['step']} steps in {about.get('training_seconds', 0):.0f} s, seed {config.get('seed')}, "
        f"commit {about.get('commit') or 'unknown'}"
    )


def _percent(rate: float | None) -> str:
    return "not measured" if rate is None else f"{rate:.0%}"


def _spec(spec: Spec) -> list[str]:
    rows = [
        f"- observation `{name}`: {list(field.shape)}, {field.dtype}, the last {spec.obs_horizon}"
        for name, field in spec.obs.items()
    ]
    limits = ", ".join(
        f"[{low:g}, {high:g}]" for low, high in zip(spec.action_low, spec.action_high, strict=True)
    )
    return [
        *rows,
        f"- action: {spec.action_dim} numbers, {spec.action_horizon} steps at once, limited to {limits}",
    ]
