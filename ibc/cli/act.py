"""What commands on a checkpoint share: its policy and environment, with what the command line changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import Checkpoint, load_checkpoint
from ibc.cli.compose import composed
from ibc.cli.config import Config, offer
from ibc.construct import refuse_interpolations
from ibc.env_config import EnvConfig
from ibc.errors import UserError
from ibc.policies import Policy
from ibc.policies.loading import build_policy

#: Keys of an environment that can be overridden whether the checkpoint has them or not.
_ENV_KEYS = ("max_episode_steps", "success_key", "success_return", "success_when")


def prepare(overrides: Sequence[str]) -> None:
    """Offer policy, sampler and environment of the checkpoint to the configuration, which overrides then change."""
    given = [text.partition("=")[2] for text in overrides if text.startswith("checkpoint=")]
    policy: dict[str, Any] = {}
    env: dict[str, Any] = {f.name: f.default for f in fields(EnvConfig) if f.name in _ENV_KEYS}
    env |= {"id": None, "report": []}
    if given:
        is_quoted = given[-1][:1] in ("'", '"')
        path = given[-1].strip("\"'") if is_quoted else given[-1].partition(",")[0]
        checkpoint = load_checkpoint(Path(path).expanduser())
        refuse_interpolations([checkpoint.policy, checkpoint.config.get("env")])
        policy = dict(checkpoint.policy)
        env |= checkpoint.config.get("env", {})
    sampler = policy.pop("sampler", None)
    if not isinstance(sampler, dict | None):
        raise UserError(f"the checkpoint's sampler is {sampler!r}, not a description of one")
    offer("policy", "checkpoint", policy, "policy")
    offer("sampler", "checkpoint", sampler or {}, "policy.sampler" if sampler else "policy")
    named = [
        text.partition("=")[2].strip("\"'") for text in overrides if text.startswith("env.id=")
    ]
    trust = [i.partition(":")[0] for i in named[-1:] if ":" in i]  # the user's word, not the file's
    offer("env", "checkpoint", {"env": env, "trust": trust}, "_global_")


def load_for_command(config: Config, device: torch.device) -> tuple[Checkpoint, Policy]:
    """The checkpoint of a command, with the command's environment, and its policy.

    With ``config["compose"]`` it searches that composition instead of its own energy.

    Raises:
        UserError: the checkpoint is damaged, names other code, or would import a module for its environment unasked.
    """
    checkpoint = load_checkpoint(Path(config["checkpoint"]).expanduser())
    env = config["env"]
    if env["id"] is not None and env["id"] == checkpoint.config.get("env", {}).get("id"):
        checkpoint.environment(config["trust"])
    policy = build_policy(checkpoint, device, trust=config["trust"], description=config["policy"])
    if config["compose"] is not None:
        is_judge = config["compose"].get("operation") == "best_of"
        if is_judge and config["policy"] != checkpoint.policy:
            raise UserError(
                "compose=best_of does not search; policy.* and sampler=... have no effect"
            )
        policy = composed(policy, config["compose"], device, trust=config["trust"])
    return replace(checkpoint, config={**checkpoint.config, "env": env}), policy


def num_execute_steps(config: Config, checkpoint: Checkpoint) -> int | None:
    """The actions of a chunk that are executed: of the command, else as in training."""
    chosen: int | None = config["num_execute_steps"]
    return chosen if chosen is not None else checkpoint.config.get("num_execute_steps")
