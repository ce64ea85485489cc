"""Episodes of policies with compositions, counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import compose
from benchmarks.intervals import rate
from benchmarks.results import Row
from benchmarks.runs import publish, run
from ibc.checkpoint import load_checkpoint
from ibc.control import Controller, PolicyActor
from ibc.data import Episode
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation import evaluate
from ibc.evaluation.collect import make_expert
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.loading import build_policy

#: Episodes at once.
NUM_ENVS = 25


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the command.

    Attributes:
        seeds: of the episodes, held out from training.
        pretrained: folder of checkpoints; what is missing there is trained by the experiment of its name.
        images: folder that receives the images.
        device: of the policies.
    """

    seeds: range
    pretrained: Path
    images: Path
    device: torch.device


def measure(
    variant: str, policy: Policy, env: Mapping[str, Any], seeds: range, breach: str | None = None
) -> tuple[Row, list[Episode]]:
    """Metrics of a policy over one episode a seed, and the episodes.

    ``breach`` names an observation that is 1 from the first contact on; episodes in which that happens are counted.
    """
    controller = Controller(policy)
    result = evaluate(controller, env, seeds=seeds, num_envs=NUM_ENVS)
    metrics, episodes = result.metrics, list(result.episodes)
    assert isinstance(controller.actor, PolicyActor)
    row = {key: metrics[key] for key in ("success_rate", "success_rate_ci95", "num_episodes")}
    if breach is not None:
        broken = [bool(e.obs[breach][-1].max() > 0) for e in episodes]
        row |= rate("breach", sum(broken), len(broken))
    reports = [report for rows in controller.actor.reports.values() for report in rows]
    if any("feasible" in report for report in reports):
        row["infeasible_decisions"] = sum(report["feasible"] == 0 for report in reports)
    row["decision_ms"] = metrics["policy_latency_ms"]["median"]
    return {"variant": variant, **row}, episodes


def measure_all(
    policies: Mapping[str, Policy],
    env: Mapping[str, Any],
    settings: Settings,
    breach: str | None = None,
) -> list[Row]:
    """:func:`measure` each policy; rows are named by the keys."""
    return [measure(name, one, env, settings.seeds, breach)[0] for name, one in policies.items()]


def expert_episodes(env: Mapping[str, Any], seeds: Sequence[int]) -> list[Episode]:
    """One episode a seed, by the environment's expert."""
    one = Environment(EnvConfig.from_mapping(env))
    episodes = list(rollout([one], Controller(make_expert(env["expert"])), seeds))
    one.close()
    return episodes


def env_config(name: str, *overrides: str) -> dict[str, Any]:
    """The configuration of an environment."""
    env: dict[str, Any] = compose("train", [f"env={name}", *overrides])["env"]
    return env


def load_trained(name: str, settings: Settings) -> tuple[ImplicitPolicy, dict[str, Any]]:
    """The implicit policy of an experiment, from the folder of checkpoints or trained now and put there.

    Returns:
        The policy, and the configuration of the environment it was trained for.

    Raises:
        UserError: the checkpoint is of a policy without energy.
    """
    path = settings.pretrained / f"{name}.pt"
    if not path.exists():
        run_dir, evaluation = run([f"experiment={name}", "seed=0"])
        publish(run_dir, path, evaluation["success_rate"])
    checkpoint = load_checkpoint(path)
    policy = build_policy(checkpoint, settings.device)
    if not isinstance(policy, ImplicitPolicy):
        raise UserError(f"{path} holds a {type(policy).__name__}; an implicit policy is needed")
    return policy, checkpoint.environment()
