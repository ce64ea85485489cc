"""A task whose density is known: two answers, of unequal weight and width, that move with what is seen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.toys.one_step import CPU, one_step_dataset
from ibc.cli.config import compose
from ibc.cli.train import make_trainer
from ibc.energies import EnergyFn
from ibc.losses import Loss
from ibc.policies import ImplicitPolicy, Policy
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec
from ibc.training.trainer import Trainer

NUM_EXAMPLES, NUM_TEST = 5000, 500
#: Weights and deviations of the answers; their middles are ``+-(0.5 + 0.3 o)``, o from -1 to 1.
WEIGHTS, STDS = (0.7, 0.3), (0.06, 0.03)
#: An action is right if it lies within so many deviations of an answer's middle.
WITHIN = 3.0
GRID = 801


def middles(obs: Tensor) -> tuple[Tensor, Tensor]:
    """Of both answers."""
    middle = 0.5 + 0.3 * obs
    return middle, -middle


def log_density(obs: Float[Tensor, "B 1"], action: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """The logarithm of the true density of actions."""
    terms = [
        math.log(weight / std / math.sqrt(2 * math.pi)) - 0.5 * ((action - middle) / std).square()
        for weight, std, middle in zip(WEIGHTS, STDS, middles(obs), strict=True)
    ]
    return torch.logsumexp(torch.stack(terms), 0)


def demonstrations(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Observations and actions, (M, 1) each."""
    rng = np.random.default_rng(seed)
    obs = rng.uniform(-1, 1, (NUM_EXAMPLES, 1))
    second = rng.random((NUM_EXAMPLES, 1)) < WEIGHTS[1]
    middle = (0.5 + 0.3 * obs) * np.where(second, -1, 1)
    action = middle + np.where(second, STDS[1], STDS[0]) * rng.normal(size=obs.shape)
    return obs.astype(np.float32), action.astype(np.float32)


def bimodal_cell(
    overrides: Sequence[str],
    seed: int,
    seconds: float,
    steps_within: Callable[[Trainer, float], int],
) -> dict[str, Any]:
    """Train a policy for so long and compare it with the truth.

    Returns:
        ``right``: the part of actions near an answer; ``balance``: the part at the heavier one (0.7 in the data, 1 for
        a perfect optimizer); ``log_density`` of the actions; ``kl`` from the data to the energy's own density, for
        energies that have one.
    """
    spec = Spec(
        obs={"state": ObsField((1,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.2,),
        action_high=(1.2,),
    )
    obs, action = demonstrations(0)
    dataset = one_step_dataset(spec, {"state": obs}, action)
    trial = make_trainer(compose("train", ["env=particle", *overrides]), spec, dataset, CPU)
    steps = steps_within(trial, seconds)
    config = compose("train", ["env=particle", *overrides, f"trainer.num_steps={steps}"])
    torch.manual_seed(seed)
    trainer = make_trainer(config, spec, dataset, CPU)
    while trainer.step < trainer.num_steps:
        trainer.train_step()
    return {
        **compare(trainer.policy.eval(), trainer.loss, seed),
        "training_seconds": trainer.seconds,
    }


@torch.no_grad()
def compare(policy: Policy, loss: Loss, seed: int) -> dict[str, Any]:
    """A policy's actions, and its density where it has one, against the truth."""
    obs = torch.linspace(-1, 1, NUM_TEST).view(-1, 1)
    rng = PerEpisodeRandom([torch.Generator().manual_seed(seed + i) for i in range(NUM_TEST)], CPU)
    start = time.perf_counter()
    found = policy.act_flat({"state": obs.unsqueeze(1)}, rng)
    milliseconds = 1000 * (time.perf_counter() - start)
    first, second = (
        (found - middle).abs() < WITHIN * std
        for middle, std in zip(middles(obs), STDS, strict=True)
    )
    right = first | second
    return {
        "right": right.float().mean().item(),
        "balance": (first.sum() / right.sum().clamp(min=1)).item(),
        "log_density": log_density(obs, found).clamp(min=-50).mean().item(),
        "kl": learned_divergence(policy, loss, obs) if isinstance(policy, ImplicitPolicy) else None,
        "num_episodes": NUM_TEST,
        "policy_latency_ms": milliseconds,
    }


def learned_divergence(
    policy: ImplicitPolicy, loss: Loss, obs: Float[Tensor, "B 1"]
) -> float | None:
    """:func:`divergence` of an energy as it was trained; None where the loss makes no density of it."""
    energy = policy.energy.bind({"state": obs.unsqueeze(1)})
    temperature = loss.density_temperature(energy)
    return None if temperature is None else divergence(energy, temperature, obs)


def divergence(energy: EnergyFn, temperature: float, obs: Float[Tensor, "B 1"]) -> float:
    """Mean ``KL(data || exp(-E / temperature))`` by sums over a grid."""
    grid = torch.linspace(-1.2, 1.2, GRID).view(1, -1).expand(len(obs), -1)
    truth = torch.log_softmax(log_density(obs, grid), 1)
    learned = torch.log_softmax(-energy(grid.unsqueeze(-1)) / temperature, 1)
    return (truth.exp() * (truth - learned)).sum(1).mean().item()
