"""A task whose density is known: two modes, of unequal weight and width, that move with the observation."""

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.results import Row
from benchmarks.runs import steps_within
from benchmarks.toys.one_step import (
    act,
    one_step_dataset,
    one_step_spec,
    one_step_trainer,
    train_policy,
)
from ibc.energies import EnergyFn
from ibc.losses import (
    ContrastiveDivergence,
    InfoNCE,
    Loss,
    NoiseConditionedScoreMatching,
    PrefixInfoNCE,
    RankingNCE,
)
from ibc.policies import ImplicitPolicy, Policy
from ibc.spec import ObsField

NUM_EXAMPLES, NUM_TEST = 5000, 500
#: Weights and deviations of the modes; their means are ``+-(0.5 + 0.3 o)``, o from -1 to 1.
WEIGHTS, STDS = (0.7, 0.3), (0.06, 0.03)
#: An action is right within so many deviations of a mode's mean.
WITHIN = 3.0
#: Largest action, and points of the grid on which densities are summed.
LIMIT, GRID = 1.2, 801


def mode_means(obs: Tensor) -> tuple[Tensor, Tensor]:
    """Means of both modes."""
    mean = 0.5 + 0.3 * obs
    return mean, -mean


def log_density(obs: Float[Tensor, "B 1"], action: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """The logarithm of the true density of actions."""
    terms = [
        math.log(weight / std / math.sqrt(2 * math.pi)) - 0.5 * ((action - mean) / std).square()
        for weight, std, mean in zip(WEIGHTS, STDS, mode_means(obs), strict=True)
    ]
    return torch.logsumexp(torch.stack(terms), 0)


def demonstrations(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Observations and actions, (M, 1) each."""
    rng = np.random.default_rng(seed)
    obs = rng.uniform(-1, 1, (NUM_EXAMPLES, 1))
    second = rng.random((NUM_EXAMPLES, 1)) < WEIGHTS[1]
    mean = (0.5 + 0.3 * obs) * np.where(second, -1, 1)
    action = mean + np.where(second, STDS[1], STDS[0]) * rng.normal(size=obs.shape)
    return obs.astype(np.float32), action.astype(np.float32)


def train_and_compare(overrides: Sequence[str], seconds: float, seed: int) -> Row:
    """Train a policy for so many seconds and :func:`compare` it with the truth."""
    spec = one_step_spec("state", ObsField((1,), "float32"), [-LIMIT], [LIMIT])
    dataset = one_step_dataset(spec, *demonstrations(0))
    steps = steps_within(one_step_trainer(dataset, overrides), seconds)
    trainer = one_step_trainer(dataset, [*overrides, f"trainer.num_steps={steps}"])
    policy = train_policy(trainer)
    return {**compare(policy, trainer.loss, seed), "training_seconds": trainer.seconds}


@torch.no_grad()
def compare(policy: Policy, loss: Loss, seed: int) -> Row:
    """A policy's actions, and its density where it has one, against the truth.

    Returns:
        ``right``: the part of actions near a mode; ``balance``: the part of these at the heavier one (0.7 in the data,
        1 for a perfect optimizer); ``log_density`` of the actions; ``kl`` from the data to the density of the energy,
        None where it has none.
    """
    obs = torch.linspace(-1, 1, NUM_TEST).view(-1, 1)
    start = time.perf_counter()
    found = act(policy, {"state": obs.numpy()}, seed)
    milliseconds = 1000 * (time.perf_counter() - start)
    first, second = (
        (found - mean).abs() < WITHIN * std for mean, std in zip(mode_means(obs), STDS, strict=True)
    )
    right = first | second
    kl = None
    if isinstance(policy, ImplicitPolicy):
        energy = policy.energy.bind({"state": obs.unsqueeze(1)})
        temperature = density_temperature(loss, energy)
        kl = None if temperature is None else divergence(energy, temperature, obs)
    return {
        "right": right.float().mean().item(),
        "balance": (first.sum() / right.sum().clamp(min=1)).item(),
        "log_density": log_density(obs, found).clamp(min=-50).mean().item(),
        "kl": kl,
        "num_episodes": NUM_TEST,
        "policy_latency_ms": milliseconds,
    }


def mean_row(rows: Sequence[Row]) -> Row:
    """Metrics over training seeds."""
    kl = [row["kl"] for row in rows if row["kl"] is not None]
    return {
        **{
            key: sum(row[key] for row in rows) / len(rows)
            for key in ("right", "balance", "log_density", "policy_latency_ms")
        },
        "kl": sum(kl) / len(kl) if kl else None,
        "num_episodes": sum(row["num_episodes"] for row in rows),
        "training_seconds": [row["training_seconds"] for row in rows],
    }


def density_temperature(loss: Loss, energy: EnergyFn) -> float | None:
    """T for which ``exp(-E / T)`` is the density of demonstrations at the optimum of the loss.

    None where energies are no density: only their minima, or their gradients, are trained. For a noise-conditioned
    energy, the density is that of demonstrations blurred by the smallest noise.
    """
    if isinstance(loss, InfoNCE | PrefixInfoNCE | RankingNCE):
        return loss.temperature
    if isinstance(loss, ContrastiveDivergence):
        return 1.0
    if isinstance(loss, NoiseConditionedScoreMatching):
        return float(energy.sigmas[-1]) ** 2  # type: ignore[attr-defined]
    return None


def divergence(energy: EnergyFn, temperature: float, obs: Float[Tensor, "B 1"]) -> float:
    """Mean ``KL(data || exp(-E / temperature))`` by sums over a grid."""
    grid = torch.linspace(-LIMIT, LIMIT, GRID).view(1, -1).expand(len(obs), -1)
    truth = torch.log_softmax(log_density(obs, grid), 1)
    learned = torch.log_softmax(-energy(grid.unsqueeze(-1)) / temperature, 1)
    return (truth.exp() * (truth - learned)).sum(1).mean().item()
