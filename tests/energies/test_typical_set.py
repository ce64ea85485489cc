"""A trained energy as a constraint, against what is known of Gaussians."""

import pytest
import torch
from known_energies import Gaussian

from ibc.composition import AllOf
from ibc.constraints import Custom
from ibc.energies import Energy, TypicalSet, action_gradient
from ibc.errors import UserError

BATCH = 3


class Raised(Energy):
    """Another energy plus a number of each observation: what training leaves undetermined."""

    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def limits(self):
        return self.energy.limits()

    def bind(self, obs):
        fn = self.energy.bind(obs)
        return lambda action: fn(action) + obs["pos"][:, 0, :1]


@pytest.fixture
def obs():
    return {"pos": 10 * torch.rand(BATCH, 1, 2)}


def test_a_gaussian_is_flat_within_its_typical_radius(obs):
    """In D dimensions the mean of ``|a - m|^2 / (2 s^2)`` over the density is D / 2."""
    std, margin = 0.15, 0.5
    fn = TypicalSet(Gaussian([0.1, 0.0], std), margin=margin, strength=3.0).bind(obs)
    action = torch.rand(BATCH, 500, 2) - 0.5
    own = (action - torch.tensor([0.1, 0.0])).square().sum(-1) / (2 * std**2)
    torch.testing.assert_close(fn(action), 3 * (own - 1 - margin).clamp(min=0), atol=0.1, rtol=0.01)
    clear = (own - 1 - margin).abs() > 0.1
    assert torch.equal(fn.feasible(action)[clear], (own < 1 + margin)[clear])


def test_the_unknown_number_of_an_energy_does_not_matter(obs):
    action = torch.rand(BATCH, 50, 2) - 0.5
    plain, raised = (
        TypicalSet(energy).bind(obs)(action)
        for energy in (Gaussian([0.1, 0.0], 0.15), Raised(Gaussian([0.1, 0.0], 0.15)))
    )
    torch.testing.assert_close(plain, raised, atol=1e-3, rtol=1e-3)


def test_its_gradient_is_that_of_automatic_differentiation(obs):
    fn = TypicalSet(Gaussian([0.1, 0.0], 0.15)).bind(obs)
    action = (torch.rand(BATCH, 50, 2) - 0.5).requires_grad_()
    (expected,) = torch.autograd.grad(fn(action).sum(), action)
    torch.testing.assert_close(action_gradient(fn, action.detach()), expected)


def test_it_is_a_constraint_to_a_composition(obs):
    fn = AllOf(Gaussian([0.0, 0.0], 1.0), TypicalSet(Gaussian([0.1, 0.0], 0.15))).bind(obs)
    near, far = torch.full((BATCH, 1, 2), 0.05), torch.full((BATCH, 1, 2), 0.9)
    assert fn.feasible(near).all()
    assert not fn.feasible(far).any()
    assert (fn.violation(far) > 0).all()


def test_nonsense():
    with pytest.raises(UserError, match="needs an energy with a box"):
        TypicalSet(Custom(lambda obs, action: action[..., 0]))
    with pytest.raises(UserError, match="strength=0, margin"):
        TypicalSet(Gaussian([0.0, 0.0], 1.0), strength=0)
