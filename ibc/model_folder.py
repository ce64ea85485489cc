"""A checkpoint as a folder that others read, too: weights as safetensors, everything else as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibc.errors import UserError
from ibc.files import read_json_object

#: Files of the folder.
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def is_model_folder(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / WEIGHTS).is_file() and (path / CONFIG).is_file()


def read_model_folder(path: Path) -> dict[str, Any]:
    """What a checkpoint file would hold (:func:`ibc.checkpoint.load_checkpoint`); nothing in it is executed.

    Raises:
        UserError: a file is damaged, or safetensors is not installed.
    """
    raw = read_json_object(path / CONFIG)
    torch_files = _safetensors()
    try:
        weights = torch_files.load((path / WEIGHTS).read_bytes())
    except Exception as error:  # damaged files fail in many ways
        raise UserError(f"{path / WEIGHTS} is damaged") from error
    return {**raw, "weights": weights, "trainer": None}


def pack_weights(weights: Mapping[str, Any]) -> bytes:
    """Weights as the content of a safetensors file.

    Raises:
        UserError: safetensors is not installed.
    """
    # Copies: tensors that share memory, such as a network of several cameras, are written for each name.
    own = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    packed: bytes = _safetensors().save(own, {"format": "pt"})
    return packed


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise UserError("safetensors is not installed: pip install ibc[export]") from error
    return safetensors.torch
