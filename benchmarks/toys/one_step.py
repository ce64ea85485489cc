"""Small supervised problems, seen as tasks of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.cli.config import compose
from ibc.cli.train import make_trainer
from ibc.data import Episode, WindowDataset
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.baselines.explicit import ExplicitPolicy
from ibc.spec import Spec

CPU = torch.device("cpu")


def one_step_dataset(
    spec: Spec, obs: Mapping[str, NDArray[Any]], action: NDArray[np.float32]
) -> WindowDataset:
    """Pairs of observation (M, *shape) and action (M, action_dim) as episodes of one step."""
    episodes = [
        Episode(
            obs={name: np.stack([array[i], array[i]]) for name, array in obs.items()},
            action=action[i : i + 1],
            reward=np.zeros(1, np.float32),
            success=np.ones(1, np.bool_),
            terminated=True,
            truncated=False,
        )
        for i in range(len(action))
    ]
    return WindowDataset(episodes, spec, CPU)


def train_policy(
    spec: Spec, dataset: WindowDataset, overrides: Sequence[str], *, whole_range: bool = False
) -> Policy:
    """A policy trained by ``overrides`` of the training configuration.

    With ``whole_range`` it searches all actions of the task, and not only those near the data.
    """
    config = compose("train", ["env=particle", *overrides])
    torch.manual_seed(config["seed"])
    trainer = make_trainer(config, spec, dataset, CPU)
    policy = trainer.policy
    if whole_range:
        assert isinstance(policy, ExplicitPolicy | ImplicitPolicy)
        low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        policy.bounds.fit(torch.stack([low, high]), low, high)
    while trainer.step < trainer.num_steps:
        trainer.train_step()
    return policy.eval()
