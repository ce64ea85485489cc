"""Write the energies of checkpoints as a page for a browser."""

from __future__ import annotations

from pathlib import Path

import torch

from ibc.checkpoint import load_checkpoint
from ibc.cli.config import Config
from ibc.cli.paths import paths_of
from ibc.page import write_page
from ibc.policies.loading import build_policy


def page(config: Config) -> None:
    """Write the file ``output``.

    Raises:
        UserError: a checkpoint that cannot be read or shown, or a page that would be too large.
    """
    shown = []
    for path in paths_of(config, "checkpoint"):
        checkpoint = load_checkpoint(path)
        policy = build_policy(checkpoint, torch.device("cpu"), trust=config["trust"])
        shown.append((policy, checkpoint, str(path)))
    output = Path(config["output"]).expanduser()
    size = write_page(output, shown)
    print(f"page: {output} ({size / 1e6:.2f} MB)")
