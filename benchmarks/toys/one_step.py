"""Supervised problems as tasks of one step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.config import compose
from ibc.construct import construct
from ibc.data import Episode, WindowDataset
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.policies.loading import make_policy
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec
from ibc.training.trainer import Trainer

CPU = torch.device("cpu")
#: Overrides of the policies that are compared.
POLICIES = {
    "implicit": ["policy=implicit_info_nce", "loss=info_nce", "negatives=mixed", "sampler=dfo_then_descent", "policy.energy.head=scalar"],
    "mse": ["policy=mse"],
}  # fmt: skip


def one_step_spec(name: str, obs: ObsField, low: Sequence[float], high: Sequence[float]) -> Spec:
    """One observation, one action between ``low`` and ``high``."""
    return Spec(
        obs={name: obs},
        obs_horizon=1,
        action_dim=len(low),
        action_horizon=1,
        action_low=tuple(low),
        action_high=tuple(high),
    )


def one_step_dataset(
    spec: Spec, obs: NDArray[Any], action: NDArray[np.floating[Any]]
) -> WindowDataset:
    """Pairs of observation (M, *shape) and action (M, action_dim) as episodes of one step."""
    (name,) = spec.obs
    episodes = [
        Episode(
            obs={name: np.stack([one_obs, one_obs])},
            action=one_action[None].astype(np.float32),
            reward=np.zeros(1, np.float32),
            success=np.ones(1, np.bool_),
            terminated=True,
            truncated=False,
        )
        for one_obs, one_action in zip(obs, action, strict=True)
    ]
    return WindowDataset(episodes, spec, CPU)


def one_step_trainer(dataset: WindowDataset, overrides: Sequence[str]) -> Trainer:
    """The trainer of overrides of ``train.yaml``."""
    config = compose("train", ["env=particle", *overrides])
    torch.manual_seed(config["seed"])
    return Trainer(
        make_policy(config["policy"], dataset.spec),
        dataset,
        loss=construct(config["loss"], "loss"),
        optimizer=construct(config["optimizer"], "optimizer"),
        seed=config["seed"],
        **config["trainer"],
    )


def train_policy(trainer: Trainer, *, whole_range: bool = False) -> Policy:
    """Take all gradient steps.

    Args:
        trainer: at step 0.
        whole_range: whether the policy searches all actions of the task, and not only those near the data.
    """
    policy, spec = trainer.policy, trainer.policy.spec
    if whole_range:
        assert isinstance(policy, ExplicitPolicy | ImplicitPolicy)
        low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        policy.bounds.fit(torch.stack([low, high]), low, high)
    while trainer.step < trainer.num_steps:
        trainer.train_step()
    return policy.eval()


@torch.no_grad()
def act(policy: Policy, obs: Mapping[str, NDArray[Any]], first_seed: int = 0) -> torch.Tensor:
    """Actions (M, action_dim) for observations (M, *shape), with a generator for each."""
    windows = {name: torch.from_numpy(array).unsqueeze(1) for name, array in obs.items()}
    seeds = range(first_seed, first_seed + len(next(iter(obs.values()))))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return policy.act_flat(windows, PerEpisodeRandom(generators, CPU))
