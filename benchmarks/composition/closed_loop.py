"""Policies with compositions in closed loop, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.studies import one_run, publish
from ibc.cli.evaluate import summarize_reports
from ibc.control import PolicyActor
from ibc.data import Episode
from ibc.environment import EnvConfig, Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import is_success, wilson_interval
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy, Policy
from ibc.training.checkpoint import Checkpoint, build_policy, load_checkpoint
from ibc.training.loggers import track
from ibc.training.run_folder import CHECKPOINT

#: Episodes at once.
NUM_ENVS = 25


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a study: held-out seeds, where policies are, and the device.

    Attributes:
        seeds: of the episodes.
        pretrained: folder of checkpoints; what is missing there is trained by the experiment of its name.
        pictures: folder that receives the pictures.
        device: of the policies.
    """

    seeds: range
    pretrained: Path
    pictures: Path
    device: torch.device


@dataclass(frozen=True)
class Tally:
    """Episodes of one policy, and what it reported of them by seed."""

    episodes: list[Episode]
    reports: dict[int, list[dict[str, float]]]
    latencies: list[float]
    success_when: str

    def row(self, variant: str, breach: str | None = None) -> dict[str, Any]:
        """Figures of the result file: successes, and episodes in which the observation ``breach`` became 1."""
        solved = [is_success(episode, self.success_when) for episode in self.episodes]
        row: dict[str, Any] = {"variant": variant, **rate("success", sum(solved), len(solved))}
        if breach is not None:
            broken = [bool(e.obs[breach][-1].max() > 0) for e in self.episodes]
            row |= rate("breach", sum(broken), len(broken))
        rows = [summarize_reports(self.reports.get(e.seed or 0, [])) for e in self.episodes]
        counts = [r["infeasible_decisions"] for r in rows if "infeasible_decisions" in r]
        if counts:
            row["infeasible_decisions"] = int(sum(counts))
        row["decision_ms"] = 1e3 * float(np.median(self.latencies))
        return row


def rate(name: str, count: int, trials: int) -> dict[str, Any]:
    """A proportion with its 95 % Wilson interval, as entries of a row."""
    return {
        f"{name}_rate": count / trials,
        f"{name}_rate_ci95": list(wilson_interval(count, trials)),
        "num_episodes": trials,
    }


def run_episodes(policy: Policy, env: Mapping[str, Any], seeds: Sequence[int]) -> Tally:
    """One episode a seed, by a policy in the environment that a configuration describes."""
    config = EnvConfig.from_mapping(env)
    envs = [Environment(config) for _ in range(min(NUM_ENVS, len(seeds)))]
    actor, latencies = PolicyActor(policy), list[float]()
    episodes = rollout(envs, actor, seeds, obs_horizon=policy.spec.obs_horizon, latencies=latencies)
    done = list(track(episodes, "episodes", len(seeds), "episode"))
    for one in envs:
        one.close()
    return Tally(done, actor.reports, latencies, config.success_when)


def trained(name: str, settings: Settings) -> tuple[ImplicitPolicy, Checkpoint]:
    """The implicit policy of an experiment: from the folder of checkpoints, or trained now and put there.

    Raises:
        UserError: the checkpoint is of a policy without energy.
    """
    path = settings.pretrained / f"{name}.pt"
    if not path.exists():
        run_dir, figures = one_run([f"experiment={name}"], "implicit", seed=0)
        publish(run_dir / CHECKPOINT, path, figures)
    checkpoint = load_checkpoint(path)
    policy = build_policy(checkpoint, settings.device)
    if not isinstance(policy, ImplicitPolicy):
        raise UserError(f"{path} holds a {type(policy).__name__}; an implicit policy is needed")
    return policy, checkpoint
