"""Energies, policies and bounds whose minima and densities are known."""

import torch
from torch import nn

from ibc.energies import BoundEnergy, Box, Energy, MLPEnergy, UnitSpace
from ibc.nn import ActionBounds, ObsEncoder
from ibc.policies import ComposedPolicy, ImplicitPolicy
from ibc.random import BatchRandom, PerEpisodeRandom
from ibc.samplers import Candidates, GradientDescent
from ibc.spec import Batch, ObsField, Spec


def rng(seed=0):
    return BatchRandom(torch.Generator().manual_seed(seed))


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def meters(size=2):
    """Bounds of a task in odd units: data from 10 to 14 and from -3 to -2.5."""
    bounds = ActionBounds(size)
    low, high = torch.tensor([10.0, -3.0])[:size], torch.tensor([14.0, -2.5])[:size]
    bounds.fit(torch.stack([low, high]), low - 99, high + 99)
    return bounds


def box_bounds(size=1, limit=1.1):
    """Bounds whose unit cube is that of the environment."""
    bounds = ActionBounds(size)
    bounds.unit_low.fill_(-limit)
    bounds.unit_high.fill_(limit)
    return bounds


def bowl(bounds, unit_minimum, scale):
    """A quadratic over the unit cube with a known minimum."""
    return lambda action: scale * (bounds.to_unit(action) - unit_minimum).square().sum(-1)


def uniform(batch, count, bounds, source):
    """Uniform candidates in environment units."""
    return bounds.from_unit(UnitSpace(lambda a: a[..., 0], bounds).uniform(batch, count, source))


def run(sampler, energy, init, bounds, source):
    """The result of a sampler in environment units."""
    found = sampler(UnitSpace(energy, bounds), bounds.to_unit(init), source)
    return Candidates(bounds.from_unit(found.action), found.energy)


def search(sampler, energy, bounds, batch=1, seed=0):
    """The result of a sampler from uniform candidates, in environment units."""
    source = PerEpisodeRandom(generators(batch, seed), torch.device("cpu"))
    init = uniform(batch, sampler.num_candidates, bounds, source)
    return run(sampler, energy, init, bounds, source)


class Bowl(Energy):
    """E = stiffness * |a|^2 / 2, whatever the observation."""

    def __init__(self):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(0.5))

    def bind(self, obs):
        return lambda action: 0.5 * self.stiffness * action.square().sum(-1)


class BowlPolicy:
    def __init__(self):
        self.energy = Bowl()
        self.bounds = box_bounds(1, 4.0)

    @property
    def space(self):
        return UnitSpace(self.energy.bind({}), self.bounds)


def fitted_stiffness(loss, data_std, steps=400):
    """The stiffness that minimizes a loss on data from N(0, data_std^2)."""
    policy, source = BowlPolicy(), rng()
    optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = Batch({"state": torch.zeros(4096, 1, 1)}, data_std * source.normal(4096, 1))
        value, _ = loss(policy, batch, source)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return policy.energy.stiffness.item()


class Gaussian(Energy):
    """A known density with an offset that depends on the observation, and a count of its gradients."""

    def __init__(self, mean, std, offset=0.0, low=-1.0, high=1.0):
        super().__init__()
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.std, self.offset = std, offset
        self.low, self.high = low, high
        self.own_gradients = 0

    def limits(self):
        return Box(torch.full_like(self.mean, self.low), torch.full_like(self.mean, self.high))

    def bind(self, obs):
        return BoundGaussian(self, self.offset * obs["pos"][:, -1, :1])


class BoundGaussian(BoundEnergy):
    def __init__(self, energy, offset, cheap=False):
        self.energy, self.offset, self.cheap = energy, offset, cheap

    def __call__(self, action):
        z = (action - self.energy.mean) / self.energy.std
        return 0.5 * z.square().sum(-1) + self.offset

    def action_gradient(self, action):
        self.energy.own_gradients += 1
        return (action - self.energy.mean) / self.energy.std**2

    def low_precision(self):
        return BoundGaussian(self.energy, self.offset, cheap=True)


#: Actions from -1 to 1, of which the unit cube is the same.
ACTION_SPEC = Spec(
    obs={"state": ObsField((2,), "float32")},
    obs_horizon=1,
    action_dim=1,
    action_horizon=1,
    action_low=(-1.0,),
    action_high=(1.0,),
)


class Known(Energy):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def bind(self, obs):
        return lambda action: self.function(action[..., 0])


def policy_of(function):
    """A policy that searches a known energy over actions from -1 to 1, which is its unit cube."""
    energy = MLPEnergy(ObsEncoder(num_gates=0), width=4, num_blocks=1)
    descent = GradientDescent(num_candidates=32, num_iterations=100, step_init=0.1, step_final=0.05)
    return ComposedPolicy(ImplicitPolicy(ACTION_SPEC, energy, descent).eval(), Known(function))


def two_wells(action):
    """Minima at -0.5 and 0.5, of which the second is higher by 0.7."""
    return torch.minimum(8 * (action + 0.5).square(), 8 * (action - 0.5).square() + 0.7)
