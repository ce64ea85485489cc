"""Policies of several training seeds, alone and together."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.composition.episodes import Settings, measure
from benchmarks.intervals import rate
from benchmarks.results import Row
from benchmarks.runs import run
from ibc.checkpoint import load_checkpoint
from ibc.composition import AllOf
from ibc.evaluation.metrics import is_success
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy
from ibc.policies.base import Statistics
from ibc.policies.loading import build_policy
from ibc.random import RandomSource
from ibc.spec import Obs
from ibc.training.run_folder import CHECKPOINT

#: Of the members.
TRAINING_SEEDS = (0, 1, 2)


def committee(settings: Settings) -> list[Row]:
    """Door from 25 human demonstrations: the mean of three energies, and the mean of three regressions' actions.

    The members are the runs of ``scripts/study.py name=door_human``, and are trained if there are none.
    """
    rows: list[Row] = []
    for kind in ("implicit", "mse"):
        common = ["experiment=door_human", f"policy={kind}"]
        runs = [run([*common, f"seed={seed}"])[0] for seed in TRAINING_SEEDS]
        checkpoints = [load_checkpoint(run_dir / CHECKPOINT) for run_dir in runs]
        members = [build_policy(checkpoint, settings.device) for checkpoint in checkpoints]
        env = checkpoints[0].environment()
        variants = {f"{kind}, each alone": members, f"{kind}, together": [together(members)]}
        for variant, policies in variants.items():
            measured = [measure(variant, one, env, settings.seeds) for one in policies]
            episodes = [episode for _, of_one in measured for episode in of_one]
            solved = sum(is_success(episode, env["success_when"]) for episode in episodes)
            rows.append(
                {
                    **measured[0][0],
                    **rate("success", solved, len(episodes)),
                    "decision_ms": float(np.median([row["decision_ms"] for row, _ in measured])),
                    "return_mean": float(np.mean([e.episode_return for e in episodes])),
                }
            )
    return rows


def together(members: list[Policy]) -> Policy:
    """One policy: of implicit ones by their mean energy, of others by their mean action."""
    implicit = [member for member in members if isinstance(member, ImplicitPolicy)]
    if len(implicit) < len(members):
        return MeanAction(members)
    names = [f"member_{i}" for i in range(len(members))]
    weights = [1 / len(members)] * len(members)
    energy = AllOf(*(member.energy for member in implicit), weights=weights, names=names)
    return ComposedPolicy(implicit[0], energy)


class MeanAction(Policy):
    """The mean action of several policies."""

    def __init__(self, members: list[Policy]) -> None:
        super().__init__(members[0].spec)
        self.members = nn.ModuleList(members)

    def fit(self, dataset: Statistics) -> None:
        """Do nothing: the members are fitted already."""

    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        members: Any = self.members
        return torch.stack([member.act_flat(obs, rng) for member in members]).mean(0)
