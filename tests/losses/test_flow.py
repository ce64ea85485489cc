"""Losses along lines from noise to actions, and ranking at every noise level: values known before training."""

import math

import numpy as np
import pytest
import torch

from ibc.energies import PreconditionedEnergy, SequenceEnergy, UnitSpace
from ibc.errors import UserError
from ibc.losses import (
    EnergyMatching,
    EquilibriumMatching,
    FlowMatching,
    InterpolatingRankingNCE,
    NoiseConditionedScoreMatching,
    Unrolled,
)
from ibc.nn.sequence import FiLMMLP
from ibc.policies import FlowMatchingPolicy, ImplicitPolicy, MSEPolicy
from ibc.random import BatchRandom
from ibc.samplers import Sampler
from ibc.samplers.base import score
from ibc.spec import Batch, ObsField, Spec
from ibc.training.share import RowsOfBatchRandom

D, COUNT = 0.5, 20_000


@pytest.fixture
def task():
    return Spec(
        obs={"state": ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=2,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


@pytest.fixture
def batch(task):
    """Gaussian actions, which do not depend on the observation."""
    return Batch({"state": torch.randn(COUNT, 1, 3)}, D * torch.randn(COUNT, task.action_size))


def rng():
    return BatchRandom(torch.Generator().manual_seed(0))


def small():
    return FiLMMLP(width=8, num_blocks=1)


class Stay(Sampler):
    """Returns the candidates it is given."""

    num_candidates = 1

    def __call__(self, space, init, rng):
        return score(space, init)


def uniform_variance(policy):
    low, high = policy.bounds.unit_low, policy.bounds.unit_high
    return float(((high - low) ** 2).mean() / 12)


def line_loss(curvature, variance, speed):
    """``E |k y - c(t) (z - a)|^2`` at ``y = (1 - t) z + t a`` for independent z and a, by quadrature."""
    t = (np.arange(10_000) + 0.5) / 10_000
    c = speed(t)
    y2 = (1 - t) ** 2 * variance + t**2 * D**2
    cross = (1 - t) * variance - t * D**2
    return float(np.mean(curvature**2 * y2 - 2 * curvature * c * cross + c**2 * (variance + D**2)))


def test_flow_matching_before_training(task, batch):
    value, _ = FlowMatching()(FlowMatchingPolicy(task, network=small()), batch, rng())
    assert float(value.detach()) == pytest.approx(1 + D**2, rel=0.02)  # E |a - z|^2


@pytest.mark.parametrize("curvature", [0.5, 1.5])
def test_equilibrium_matching_before_training(task, batch, curvature):
    policy = ImplicitPolicy(task, SequenceEnergy(network=small(), curvature=curvature))
    value, _ = EquilibriumMatching()(policy, batch, rng())
    expected = line_loss(
        curvature, uniform_variance(policy), lambda t: 4 * np.minimum(1, (1 - t) / 0.2)
    )
    assert float(value.detach()) == pytest.approx(expected, rel=0.02)


def test_default_curvature_is_about_the_best_linear_gradient(task):
    policy = ImplicitPolicy(task, SequenceEnergy(network=small()))
    losses = {
        k: line_loss(k, uniform_variance(policy), lambda t: 4 * np.minimum(1, (1 - t) / 0.2))
        for k in np.arange(0.5, 3, 0.1)
    }
    assert policy.energy.curvature == pytest.approx(min(losses, key=losses.get), abs=0.15)


def test_equilibrium_matching_refuses_a_line_that_is_all_flat():
    with pytest.raises(UserError, match="flat_until=1"):
        EquilibriumMatching(flat_until=1.0)


def test_energy_matching_without_contrast_is_a_flow(task, batch):
    """Chains that stay at the demonstrations have no contrast to them."""
    policy = ImplicitPolicy(task, SequenceEnergy(network=small(), curvature=0.7))
    value, metrics = EnergyMatching(sampler=Stay())(policy, batch, rng())
    expected = line_loss(0.7, uniform_variance(policy), np.ones_like)
    assert float(value.detach()) == pytest.approx(expected, rel=0.02)
    assert float(metrics["contrast"]) == pytest.approx(0.0, abs=1e-6)


def test_interpolating_ranking_starts_at_chance(task, batch):
    """Before training the energy is the Gaussian from which negatives come: nothing tells the positive apart."""
    policy = ImplicitPolicy(task, PreconditionedEnergy(network=small(), data_std=D))
    value, metrics = InterpolatingRankingNCE(num=9)(policy, batch, rng())
    assert float(value.detach()) == pytest.approx(math.log(10), abs=1e-4)
    assert float(metrics["chance"]) == pytest.approx(math.log(10))


def test_energy_flow_objective_before_training(task, batch):
    """The noise that the best linear denoiser leaves: ``d^2 / (s^2 + d^2)``, s log-uniform."""
    policy = ImplicitPolicy(task, PreconditionedEnergy(network=small(), data_std=D))
    value, _ = NoiseConditionedScoreMatching(floor=0.0)(policy, batch, rng())
    s = np.exp(np.linspace(math.log(0.01), math.log(4.0), 10_001))
    assert float(value.detach()) == pytest.approx(np.mean(D**2 / (s**2 + D**2)), rel=0.02)


@pytest.mark.parametrize(
    "loss", [EquilibriumMatching(), EnergyMatching(sampler=Stay()), InterpolatingRankingNCE()]
)
def test_policies_without_an_energy_are_refused(task, batch, loss):
    with pytest.raises(UserError, match="MSEPolicy has not"):
        loss(MSEPolicy(task), batch, rng())


def test_unrolled_draws_the_number_of_steps(task, monkeypatch):
    policy = ImplicitPolicy(task, SequenceEnergy(network=small()))
    batch = Batch({"state": torch.randn(4, 1, 3)}, torch.zeros(4, task.action_size))
    steps = []
    gradient = UnitSpace.gradient
    monkeypatch.setattr(UnitSpace, "gradient", lambda *a, **k: steps.append(1) or gradient(*a, **k))
    source, counts = rng(), set()
    for _ in range(30):
        steps.clear()
        Unrolled(num=2, num_steps=2, max_steps=4, step_size=0.1)(policy, batch, source)
        counts.add(len(steps))
    assert counts == {2, 3, 4}


def test_unrolled_draws_as_much_noise_for_any_number_of_steps(task):
    policy = ImplicitPolicy(task, SequenceEnergy(network=small()))
    batch = Batch({"state": torch.randn(4, 1, 3)}, torch.zeros(4, task.action_size))
    loss = Unrolled(num=2, num_steps=1, max_steps=5, step_size=0.1, noise_std=0.1)
    for seed in range(6):
        states = []
        for index in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            loss(policy, batch, RowsOfBatchRandom(generator, index, 2))
            states.append(generator.get_state())
        assert torch.equal(*states)


def test_unrolled_with_jitter_is_that_of_each_scaled_step(task):
    """A quadratic bowl of curvature k is shrunk by ``1 - s k`` with a step s; jitter makes s log-normal."""
    policy = ImplicitPolicy(task, SequenceEnergy(network=small(), curvature=1.0))
    count = 20_000
    batch = Batch({"state": torch.randn(count, 1, 3)}, torch.zeros(count, task.action_size))
    loss = Unrolled(num=1, num_steps=1, step_size=0.5, step_jitter=0.3)
    value, _ = loss(policy, batch, rng())
    source = rng()
    unit = UnitSpace(policy.energy.bind(batch.obs), policy.bounds).uniform(count, 1, source)
    left = unit * (1 - 0.5 * torch.exp(0.3 * source.normal(count, 1, 1)))
    expected = torch.nn.functional.smooth_l1_loss(left, torch.zeros_like(left), beta=0.1)
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-4)
    with pytest.raises(UserError, match="max_steps=1 is less"):
        Unrolled(num=1, num_steps=2, max_steps=1, step_size=0.5)
