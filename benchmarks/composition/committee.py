"""Policies of several training seeds, alone and together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.composition.closed_loop import Settings, Tally, run_episodes
from benchmarks.studies import one_run
from ibc.energies import AllOf
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy
from ibc.policies.base import Statistics
from ibc.random import RandomSource
from ibc.spec import Obs
from ibc.training.checkpoint import build_policy, load_checkpoint
from ibc.training.run_folder import CHECKPOINT

#: Of the members.
TRAINING_SEEDS = (0, 1, 2)


def committee(settings: Settings) -> list[dict[str, Any]]:
    """Door from 25 human demonstrations: the mean of three energies, and the mean of three regressions' actions.

    The members are the runs of ``scripts/study.py name=door_human``, and are trained if there are none.
    """
    rows = []
    for kind in ("implicit", "mse"):
        runs = [one_run(["experiment=door_human"], kind, seed)[0] for seed in TRAINING_SEEDS]
        checkpoints = [load_checkpoint(run_dir / CHECKPOINT) for run_dir in runs]
        members = [build_policy(checkpoint, settings.device) for checkpoint in checkpoints]
        env = checkpoints[0].config["env"]
        alone = [run_episodes(member, env, settings.seeds) for member in members]
        pooled = Tally(
            [episode for tally in alone for episode in tally.episodes],
            {},
            [latency for tally in alone for latency in tally.latencies],
            alone[0].success_when,
        )
        rows.append(_row(f"{kind}, each alone", pooled))
        rows.append(_row(f"{kind}, together", run_episodes(together(members), env, settings.seeds)))
    return rows


def together(members: list[Policy]) -> Policy:
    """One policy: of implicit ones by their mean energy, of others by their mean action."""
    energies = [member.energy for member in members if isinstance(member, ImplicitPolicy)]
    if len(energies) < len(members):
        return MeanAction(members)
    first = members[0]
    assert isinstance(first, ImplicitPolicy)
    share = [1 / len(energies)] * len(energies)
    names = [f"member_{i}" for i in range(len(energies))]
    return ComposedPolicy(first, AllOf(*energies, weights=share, names=names))


class MeanAction(Policy):
    """The mean of what several policies would do: all that can be done with policies without energies."""

    def __init__(self, members: list[Policy]) -> None:
        super().__init__(members[0].spec)
        self.members = nn.ModuleList(members)

    def fit(self, dataset: Statistics) -> None:
        """The members are fitted already."""

    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        actions = [m.act_flat(obs, rng) for m in self.members if isinstance(m, Policy)]
        return torch.stack(actions).mean(0)


def _row(variant: str, tally: Tally) -> dict[str, Any]:
    returns = [episode.episode_return for episode in tally.episodes]
    return {**tally.row(variant), "return_mean": float(np.mean(returns))}
