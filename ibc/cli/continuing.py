"""Runs that go on from what another run has learned: their own beginning, or another run's policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ibc.checkpoint import Checkpoint, load_checkpoint
from ibc.errors import UserError
from ibc.nn.action_bounds import ActionBounds
from ibc.policies.base import chunk_limits
from ibc.training import Trainer

#: The parts of a configuration that a continued run must share with its beginning.
IDENTITY = (
    "env",
    "data",
    "policy",
    "loss",
    "optimizer",
    "trainer",
    "seed",
    "precision",
    "obs_horizon",
    "action_horizon",
    "init_from",
)
#: Keys of these that may differ: where data was found, since its content is compared; how closed loop is judged, which
#: is not learned from; and how long is trained.
FREE = (
    "data.path",
    "data.search",
    "data.cache",
    "env.success_key",
    "env.success_return",
    "env.success_when",
    "env.report",
    "trainer.num_steps",
)


def restore(trainer: Trainer, saved: Checkpoint, current: Checkpoint) -> None:
    """Put a trainer where an interrupted run stopped, or a finished one, where more steps are asked for.

    Raises:
        UserError: the run was begun with another configuration or other data, or has taken more steps.
    """
    changed = differences(saved.config, current.config)
    if changed:
        raise UserError(
            f"this run was begun with other settings of {'; '.join(changed)}: "
            "continue it with the same, or choose another run_dir=..."
        )
    if saved.about["data"]["sha256"] != current.about["data"]["sha256"]:
        raise UserError("this run was begun with other demonstrations; choose another run_dir=...")
    if saved.trainer is None:
        raise UserError("this checkpoint has no training state to continue from")
    before, now = (c.config["trainer"]["num_steps"] for c in (saved, current))
    if now < before:
        raise UserError(
            f"trainer.num_steps={now}; this run has taken {saved.trainer['step']} steps of {before}, and may take more"
        )
    try:
        trainer.policy.load_state_dict(saved.weights)
        trainer.load_state_dict(saved.trainer)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the run's training state does not fit this run: {reason}") from error


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """In what two configurations describe different training runs: ``key (was A, is B)``."""
    before, now = (dict(_leaves({k: c.get(k) for k in IDENTITY})) for c in (first, second))
    return [
        f"{key} (was {before.get(key)}, is {now.get(key)})"
        for key in dict.fromkeys([*before, *now])
        if key not in FREE and before.get(key) != now.get(key)
    ]


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif value is not None:  # as if it were not there: keys that are new have such a value
            yield f"{prefix}{key}", value


def begin_with(trainer: Trainer, path: Path) -> None:
    """Give a trainer's policy the weights and normalizers of another run's, which is then trained on.

    Its actions stay within the limits of this run.

    Raises:
        UserError: it is another policy, or one of another task, naming the first part that differs; or it has no action
            within the limits.
    """
    saved = load_checkpoint(path.expanduser()).weights
    own = trainer.policy.state_dict()
    for name in dict.fromkeys([*own, *saved]):
        here, there = (tuple(w[name].shape) if name in w else None for w in (own, saved))
        if here != there:
            raise UserError(
                f"init_from={path} is of another architecture: {name} is {here or 'not there'} here and "
                f"{there or 'not there'} in it"
            )
    for policy in [trainer.policy, *([trainer.average.policy] if trainer.average else [])]:
        policy.load_state_dict(dict(saved))
        for bounds in policy.modules():
            if isinstance(bounds, ActionBounds):
                bounds.limit(*chunk_limits(policy.spec, bounds.center))
