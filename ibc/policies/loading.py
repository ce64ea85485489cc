"""Policies from files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import Checkpoint, load_checkpoint
from ibc.construct import call, check_trusted, construct, find, trusted_packages
from ibc.device import choose_device
from ibc.errors import UserError
from ibc.policies.base import Policy


def load_policy(path: str | Path, *, device: str = "auto", trust: Collection[str] = ()) -> Policy:
    """The trained policy of a checkpoint, ready to act; no data, simulator or GPU is needed.

    Args:
        path: written by :meth:`Policy.save` or by a training run.
        device: ``auto``, ``cpu`` or ``cuda``.
        trust: packages whose classes the file may name, beside this project's; they are imported.

    Raises:
        UserError: there is no such checkpoint, it names other classes, or its weights do not fit.
    """
    return build_policy(load_checkpoint(Path(path)), choose_device(device), trust=trust)


def build_policy(
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    trust: Collection[str] | None = (),
    description: Mapping[str, Any] | None = None,
) -> Policy:
    """The policy of a checkpoint that has been read.

    Args:
        checkpoint: read from a file.
        device: where the policy acts.
        trust: see :func:`load_policy`; None for a file that this process wrote itself.
        description: what the user wrote instead of the checkpoint's description of the policy, such as another sampler.

    Raises:
        UserError: as :func:`load_policy`.
    """
    if trust is not None:
        check_trusted(checkpoint.policy, trusted_packages(trust))
    policy = make_policy(checkpoint.policy if description is None else description, checkpoint.spec)
    try:
        policy.load_state_dict(checkpoint.weights)
    except (LookupError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the checkpoint's weights do not fit its policy: {reason}") from error
    return policy.to(device).eval()


def make_policy(description: Mapping[str, Any], spec: Any) -> Policy:
    """An untrained policy for a task, from its description.

    Raises:
        UserError: the description does not fit.
    """
    if "_target_" not in description:
        raise UserError(f"policy must be a configuration with a _target_, got {description!r}")
    arguments = {k: v for k, v in description.items() if k != "_target_"}
    parts = construct({"_target_": "builtins.dict", **arguments}, "policy")
    policy = call(find(str(description["_target_"])), "policy", spec=spec, **parts)
    if not isinstance(policy, Policy):
        raise UserError(f"policy is a {type(policy).__name__}, not a policy")
    return policy
