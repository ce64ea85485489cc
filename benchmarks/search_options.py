"""What the options that shorten a search cost and give, on published policies in closed loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ibc.cli.evaluate import EvaluationConfig, evaluate_policy
from ibc.policies import ImplicitPolicy
from ibc.training.checkpoint import build_policy, load_checkpoint

PARTICLE, DOOR = Path("pretrained/particle_2d.pt"), Path("pretrained/door_human.pt")
#: Few candidates and steps, and as many as a search from anywhere needs.
FEW = {"num_candidates": 2, "num_iterations": 6}
MANY = {"num_candidates": 16, "num_iterations": 40}


@dataclass(frozen=True, kw_only=True)
class Option:
    """A way to search with a policy that was trained otherwise.

    Attributes:
        checkpoint: the policy.
        sampler: what differs in its sampler.
        policy: what differs in the policy itself.
    """

    checkpoint: Path = PARTICLE
    sampler: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)


OPTIONS = {
    "option_none": Option(),
    "option_settle": Option(sampler={"settle": 1e-3}),
    "option_few": Option(sampler=FEW),
    "option_few_warm": Option(sampler=FEW, policy={"warm_start_fraction": 0.5}),
    "option_door_proposal": Option(checkpoint=DOOR),
    "option_door_anywhere": Option(checkpoint=DOOR, sampler=MANY, policy={"init_std": None}),
}


def measure_option(name: str, device: torch.device) -> dict[str, Any]:
    """Success and return over 100 held-out seeds, and milliseconds a decision of one environment."""
    option = OPTIONS[name]
    checkpoint = load_checkpoint(option.checkpoint)
    policy = build_policy(checkpoint, device)
    assert isinstance(policy, ImplicitPolicy)
    for owner, changes in ((policy.sampler, option.sampler), (policy, option.policy)):
        for key, value in changes.items():
            setattr(owner, key, value)
    many = evaluate_policy(
        policy, checkpoint, EvaluationConfig(num_episodes=100, first_seed=100_000, num_envs=25)
    )
    one = evaluate_policy(
        policy, checkpoint, EvaluationConfig(num_episodes=2, first_seed=100_000, num_envs=1)
    )
    return {
        "ms": one["policy_latency_ms"]["median"],
        "success_rate": many["success_rate"],
        "success_rate_ci95": many["success_rate_ci95"],
        "return_mean": many["return_mean"],
    }
