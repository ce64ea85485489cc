"""Checkpoints: one file of plain containers and tensors from which a policy acts and a run continues."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ibc.errors import UserError
from ibc.files import write_atomically
from ibc.model_folder import is_model_folder, read_model_folder
from ibc.spec import Spec
from ibc.upgrade import upgrade

FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        policy: the description of the policy (``ibc.component``).
        spec: what the policy sees and does.
        weights: of the policy, with normalizers and bounds.
        config: of the run that trained it; empty for a policy that was saved by a program.
        trainer: state to continue the run from; None in a policy that only acts.
        about: where it comes from: versions, commit, data, metrics.
    """

    policy: Mapping[str, Any]
    spec: Spec
    weights: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "format_version": FORMAT_VERSION,
            "policy": dict(checkpoint.policy),
            "spec": checkpoint.spec.to_dict(),
            "weights": dict(checkpoint.weights),
            "digest": digest(checkpoint.weights),
            "config": dict(checkpoint.config),
            "trainer": checkpoint.trainer,
            "about": dict(checkpoint.about),
        },
        buffer,
    )
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of this format or an older one, a file or a folder; nothing in it is executed.

    Raises:
        UserError: it is missing, damaged, or of a newer format.
    """
    raw = read_model_folder(path) if is_model_folder(path) else _read_file(path)
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version not in range(1, FORMAT_VERSION + 1):
        raise UserError(
            f"{path} has checkpoint format {version}; this version reads 1 to {FORMAT_VERSION}"
        )
    try:
        if raw["digest"] != digest(raw["policy" if version == 1 else "weights"]):
            raise UserError(f"{path} is damaged: its weights are not those that were written")
        if version == 1:
            raw = upgrade(raw)
        return Checkpoint(
            policy=raw["policy"],
            spec=Spec.from_dict(raw["spec"]),
            weights=raw["weights"],
            config=raw["config"],
            trainer=raw["trainer"],
            about=raw["about"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} lacks a part of a checkpoint: {error}") from error


def _read_file(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive makes torch fail in many ways
        raise UserError(f"{path} is not a checkpoint, or is damaged") from error


def digest(weights: Mapping[str, Any]) -> str:
    """SHA-256 over names, shapes and numbers of weights."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
