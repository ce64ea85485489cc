"""Checkpoints: one file of plain containers and tensors from which a policy acts and a run goes on."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ibc.config import build
from ibc.errors import UserError
from ibc.policies import Policy
from ibc.types import Spec

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: the resolved configuration of the run.
        spec: what the policy sees and does.
        policy: its weights, with normalisers and bounds.
        trainer: state to continue from; None in a policy that is only to act.
        about: where it comes from: versions, commit, data, figures.
    """

    config: dict[str, Any]
    spec: Spec
    policy: dict[str, Any]
    trainer: dict[str, Any] | None
    about: dict[str, Any]


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a crash or a full disk leaves the old one untouched.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(
        {
            "format_version": FORMAT_VERSION,
            "config": checkpoint.config,
            "spec": checkpoint.spec.to_dict(),
            "policy": checkpoint.policy,
            "trainer": checkpoint.trainer,
            "about": checkpoint.about,
        },
        buffer,
    )
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        UserError: it is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(f"{path} is not a checkpoint, or is damaged") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has checkpoint format {version}; this version reads {FORMAT_VERSION}"
        )
    try:
        return Checkpoint(
            config=raw["config"],
            spec=Spec.from_dict(raw["spec"]),
            policy=raw["policy"],
            trainer=raw["trainer"],
            about=raw["about"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} lacks a part of a checkpoint: {error}") from error


def build_policy(checkpoint: Checkpoint, device: torch.device) -> Policy:
    """The trained policy of a checkpoint: no data, simulator or GPU is needed.

    Raises:
        UserError: its configuration names code outside the allow-list, or its weights do not fit.
    """
    policy = build(checkpoint.config.get("policy"), "policy")(spec=checkpoint.spec)
    if not isinstance(policy, Policy):
        raise UserError(f"the checkpoint's policy is a {type(policy).__name__}, not a policy")
    try:
        policy.load_state_dict(checkpoint.policy)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the checkpoint's weights do not fit its policy: {reason}") from error
    return policy.to(device).eval()
