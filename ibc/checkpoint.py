"""Checkpoints: one file of plain containers and tensors from which a policy acts and a run continues."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping
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

    def environment(self, trust: Collection[str] = ()) -> dict[str, Any]:
        """The configuration of the environment that it was trained for; empty if there was none.

        Args:
            trust: modules that its id may import.

        Raises:
            UserError: the id would import another module; a file is a boundary, its text comes from somebody else.
        """
        env = dict(self.config.get("env", {}))
        module, colon, _ = str(env.get("id", "")).partition(":")
        if colon and module not in trust:
            raise UserError(
                f"the checkpoint's environment would import '{module}'; if you trust it: trust=[{module}]"
            )
        return env


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
            "trainer_digest": digest(checkpoint.trainer),
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
        if raw.get("trainer_digest") not in (None, digest(raw["trainer"])):
            raise UserError(f"{path} is damaged: its training state is not what was written")
        if version == 1:
            raw = upgrade(raw)
        _check_parts(raw)
        return Checkpoint(
            policy=raw["policy"],
            spec=Spec.from_dict(raw["spec"]),
            weights=raw["weights"],
            config=raw["config"],
            trainer=raw["trainer"],
            about=raw["about"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(
            str(error).split()
        )  # torch says more than a line of tensors that are none
        raise UserError(f"{path} lacks a part of a checkpoint: {reason}") from error


def _read_file(path: Path) -> Any:
    if not path.is_file():
        inside = path / "checkpoint.pt"
        raise UserError(f"no checkpoint at {path}{f', but at {inside}' * inside.is_file()}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive makes torch fail in many ways
        raise UserError(f"{path} is not a checkpoint, or is damaged") from error


def _check_parts(raw: Mapping[str, Any]) -> None:
    """Raise TypeError where a part is no mapping, ValueError where a weight is not a finite dense tensor."""
    for name in ("policy", "weights", "config", "about"):
        if not isinstance(raw[name], Mapping):
            raise TypeError(f"{name} is a {type(raw[name]).__name__}")
    if not isinstance(raw["config"].get("env", {}), Mapping):
        raise TypeError("config.env is not a mapping")
    for name in ("name", "policy_name", "task"):
        if not isinstance(raw["config"].get(name), str | None):
            raise TypeError(f"config.{name} is no text")
    if type(raw["config"].get("num_execute_steps")) not in (int, type(None)):
        raise TypeError("config.num_execute_steps is no whole number")
    if not isinstance(raw["trainer"], Mapping | None):
        raise TypeError("trainer is not a mapping")
    for name, weight in raw["weights"].items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise ValueError(f"weight {name!r} is not finite")


def digest(state: Any) -> str:
    """SHA-256 over the keys, shapes and numbers of tensors in plain containers."""
    sha = hashlib.sha256()
    _update(sha, state, "")
    return sha.hexdigest()


def _update(sha: hashlib._Hash, node: Any, name: str) -> None:
    if isinstance(node, torch.Tensor):
        value = node.detach().cpu().contiguous()
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(node, Mapping):
        for key in sorted(node, key=str):
            _update(sha, node[key], f"{name}.{key}" if name else str(key))
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            _update(sha, item, f"{name}.{number}")
    else:
        sha.update(f"{name}={node!r}".encode())
