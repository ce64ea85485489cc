"""Checkpoints: one file of plain containers and tensors from which a policy acts and a run goes on."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ibc.cli.config import build, complete
from ibc.errors import UserError
from ibc.files import write_atomically
from ibc.policies import Policy
from ibc.spec import Spec
from ibc.training.upgrade import upgrade

FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: the resolved configuration of the run.
        spec: what the policy sees and does.
        policy: its weights, with normalizers and bounds.
        trainer: state to continue from; None in a policy that is only to act.
        about: where it comes from: versions, commit, data, figures.
    """

    config: dict[str, Any]
    spec: Spec
    policy: dict[str, Any]
    trainer: dict[str, Any] | None
    about: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(
        {
            "format_version": FORMAT_VERSION,
            "config": checkpoint.config,
            "spec": checkpoint.spec.to_dict(),
            "policy": checkpoint.policy,
            "digest": digest(checkpoint.policy),
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
    except Exception as error:  # a damaged archive makes torch fail in many ways
        raise UserError(f"{path} is not a checkpoint, or is damaged") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version not in range(1, FORMAT_VERSION + 1):
        raise UserError(
            f"{path} has checkpoint format {version}; this version reads 1 to {FORMAT_VERSION}"
        )
    try:
        if raw["digest"] != digest(raw["policy"]):
            raise UserError(f"{path} is damaged: its weights are not those that were written")
        if version == 1:
            raw = upgrade(raw)
        if "id" not in raw["config"]["env"]:
            raise KeyError("config.env.id")
        return Checkpoint(
            config=raw["config"],
            spec=Spec.from_dict(raw["spec"]),
            policy=raw["policy"],
            trainer=raw["trainer"],
            about=raw["about"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} lacks a part of a checkpoint: {error}") from error


def digest(weights: dict[str, Any]) -> str:
    """SHA-256 over names, shapes and numbers of weights."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def build_policy(checkpoint: Checkpoint, device: torch.device) -> Policy:
    """The trained policy of a checkpoint: no data, simulator or GPU is needed.

    Raises:
        UserError: its configuration names code outside the allow-list, or its weights do not fit.
    """
    partial = build(checkpoint.config.get("policy"), "policy")
    policy = complete(partial, "the checkpoint's policy", spec=checkpoint.spec)
    if not isinstance(policy, Policy):
        raise UserError(f"the checkpoint's policy is a {type(policy).__name__}, not a policy")
    try:
        policy.load_state_dict(checkpoint.policy)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the checkpoint's weights do not fit its policy: {reason}") from error
    return policy.to(device).eval()
