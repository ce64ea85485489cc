"""Accelerated descent on quadratic energies, where every step is known."""

import pytest
import torch

from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.random import BatchRandom
from ibc.samplers import AcceleratedDescent


def rng():
    return BatchRandom(torch.Generator().manual_seed(0))


def space_of(curvature, target=0.3):
    """``sum k_i (x_i - target)^2 / 2``, counting its evaluations."""
    bounds = ActionBounds(len(curvature))
    calls = []

    def energy(action):
        calls.append(1)
        return (torch.tensor(curvature) * (action - target).square() / 2).sum(-1)

    return UnitSpace(energy, bounds), calls


def test_plain_descent_shrinks_the_distance():
    space, _ = space_of([2.0])
    init = torch.tensor([[[0.9], [0.3], [-0.5]]])
    found = AcceleratedDescent(max_steps=3, step_size=0.1, tolerance=0.0)(space, init, rng())
    torch.testing.assert_close(found.action, 0.3 + (init - 0.3) * 0.8**3)
    torch.testing.assert_close(found.energy, (found.action - 0.3).square().sum(-1))


def test_steps_follow_from_the_gradient():
    space, calls = space_of([2.0])
    search = AcceleratedDescent(max_steps=100, step_size=0.25, tolerance=0.1)
    near = search(space, torch.tensor([[[0.32]]]), rng())
    assert len(calls) == 2  # one gradient, and the energy of the result
    calls.clear()
    far = search(space, torch.tensor([[[-0.9]]]), rng())
    # The gradient 2.4 halves with each step: below 0.1 after five.
    assert len(calls) == 5 + 1 + 1
    assert float((near.action - 0.32).abs()) < 1e-6
    assert float((far.action - 0.3).abs()) == pytest.approx(1.2 / 2**5, rel=1e-4)


def test_candidates_do_not_influence_one_another():
    space, _ = space_of([2.0, 0.5])
    init = torch.rand(3, 4, 2)
    search = AcceleratedDescent(max_steps=12, step_size=0.3, momentum=0.5, tolerance=0.05)
    together = search(space, init, rng()).action
    torch.testing.assert_close(together[1:2, 2:3], search(space, init[1:2, 2:3], rng()).action)


def test_momentum_is_faster_where_curvatures_differ():
    space, _ = space_of([10.0, 0.1], target=0.0)
    init = torch.tensor([[[0.5, 0.9]]])
    plain = AcceleratedDescent(max_steps=60, step_size=0.1, tolerance=0.0)(space, init, rng())
    fast = AcceleratedDescent(max_steps=60, step_size=0.1, momentum=0.8, tolerance=0.0)
    assert float(fast(space, init, rng()).energy) < 0.1 * float(plain.energy)


def test_stays_in_the_search_box():
    space, _ = space_of([1.0], target=5.0)
    found = AcceleratedDescent(max_steps=50, step_size=0.5)(space, torch.zeros(1, 1, 1), rng())
    torch.testing.assert_close(found.action[0, 0], space.high)


@pytest.mark.parametrize("wrong", [{"max_steps": 0}, {"step_size": -1.0}, {"momentum": 1.0}])
def test_refusals(wrong):
    with pytest.raises(UserError, match="it must be a"):
        AcceleratedDescent(**wrong)
