"""A search with a deadline returns the best it has."""

import time

import pytest
import torch
from small import row_noise

from ibc import UserError, samplers
from ibc.energies import BoundEnergy, UnitSpace
from ibc.nn import ActionBounds
from ibc.samplers import Anytime


class Bowl(BoundEnergy):
    """A quadratic around 0.25, each evaluation of which takes some seconds."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.evaluations = 0
        self.bounds = None

    def __call__(self, action, /):
        self.evaluations += 1
        time.sleep(self.seconds)
        return 0.5 * (action - 0.25).square().sum(-1)

    def action_gradient(self, action, /):
        self(action)
        return action - 0.25


class Levels(Bowl):
    """The same at every noise level."""

    sigmas = (2.0, 0.1)

    def at(self, sigma, /):
        return self


SEARCHES = {
    "descent": samplers.GradientDescent(
        num_candidates=8, num_iterations=1000, step_init=0.2, step_final=0.2, delta_clip=1.0
    ),
    "dfo": samplers.DFO(num_candidates=8, num_iterations=1000, noise_std=0.1, shrink=0.9),
    "coordinates": samplers.AutoregressiveDFO(
        num_candidates=8, num_iterations=1000, noise_std=0.1, shrink=0.9
    ),
    "flow": samplers.ProbabilityFlow(num_candidates=2, num_steps=1000),
    "chain": samplers.Chain(
        [
            samplers.MALA(num_candidates=8, num_iterations=3),
            samplers.IBCLangevin(
                num_candidates=4, num_iterations=1000, step_init=0.2, step_final=0.1
            ),
        ]
    ),
    "tempered": samplers.Tempering(
        samplers.ULA(num_candidates=8, num_iterations=1000, step_init=0.1, step_final=0.1), [1.0]
    ),
}


def start(sampler, energy):
    space = UnitSpace(energy, ActionBounds(2))
    rng = row_noise(3)
    return space, space.uniform(1, sampler.num_candidates, rng), rng


@pytest.mark.parametrize("name", SEARCHES)
def test_it_ends_in_time_inside_the_box_and_better_than_it_began(name):
    energy = Levels(0.002)
    space, init, rng = start(SEARCHES[name], energy)
    before = 0.5 * (init - 0.25).square().sum(-1)
    began = time.monotonic()
    found = Anytime(SEARCHES[name], 0.1)(space, init, rng)
    assert time.monotonic() - began < 0.4
    assert energy.evaluations < 100
    assert (found.action.abs() <= 1).all()
    torch.testing.assert_close(found.energy, 0.5 * (found.action - 0.25).square().sum(-1))
    assert found.energy.min() < before.mean()


def test_with_enough_time_it_is_the_search_itself():
    sampler = samplers.IBCLangevin(
        num_candidates=4, num_iterations=5, step_init=0.2, step_final=0.1
    )
    expected = sampler(*start(sampler, Bowl()))
    found = Anytime(sampler, 60.0)(*start(sampler, Bowl()))
    assert torch.equal(found.action, expected.action)
    assert torch.equal(found.energy, expected.energy)


def test_one_evaluation_is_always_made():
    energy = Bowl()
    found = Anytime(SEARCHES["descent"], 1e-9)(*start(SEARCHES["descent"], energy))
    assert energy.evaluations == 2
    assert torch.isfinite(found.energy).all()


def test_more_time_is_better():
    """The energy that is reached, on average over seeds."""
    energies = [
        Anytime(SEARCHES["descent"], seconds)(*start(SEARCHES["descent"], Bowl(0.002))).energy.min()
        for seconds in (0.01, 0.1)
    ]
    assert energies[1] < energies[0]


def test_no_time_is_refused():
    with pytest.raises(UserError, match="more than 0"):
        Anytime(SEARCHES["dfo"], 0.0)
