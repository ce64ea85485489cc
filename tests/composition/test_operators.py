"""Compositions by their axioms and against grids."""

import pytest
import torch
from known_energies import Gaussian
from small import make_energy

from ibc.composition import AllOf, AnyOf, Not
from ibc.constraints import (
    Custom,
    KeepOutDisk,
    NearGoal,
)
from ibc.energies import action_gradient
from ibc.spec import ObsField, Spec

BATCH, COUNT = 3, 40


@pytest.fixture
def obs():
    torch.manual_seed(1)
    return {
        "pos": torch.rand(BATCH, 2, 2),
        "vel": torch.rand(BATCH, 2, 2) - 0.5,
        "disk": torch.rand(BATCH, 2, 2),
        "previous_action": torch.rand(BATCH, 1, 2),
    }


@pytest.fixture
def action():
    torch.manual_seed(2)
    return torch.rand(BATCH, COUNT, 2) * 1.6 - 0.8


def gaussians():
    return Gaussian([0.3, -0.2], 0.5, offset=5.0), Gaussian([-0.5, 0.1], 0.3, low=-2.0)


def compositions():
    a, b = gaussians()
    disk = KeepOutDisk([0.1, 0.0], 0.4)
    return {
        "all": AllOf(a, b, disk, weights=[1.0, 0.5, 2.0], temperatures=[1.0, 2.0, 1.0]),
        "any": AnyOf(a, b, NearGoal([0.0, 0.5]), weights=[0.3, 0.6, 0.1]),
        "not": AllOf(a, Not(b, strength=7.0)),
        "nested": AllOf(AnyOf(AllOf(a, disk), b), Not(AnyOf(a, b)), Custom(leftward)),
    }


def leftward(obs, action):
    return action[..., 0] - obs["pos"][:, -1, :1]


def close(a, b, **kwargs):
    torch.testing.assert_close(a, b, **(kwargs or {"atol": 1e-5, "rtol": 1e-5}))


def assert_gradient(energy, action):
    """By central differences, in double precision; a kink between the two points is left out."""
    action = action.double()
    gradient, h = action_gradient(energy, action), 1e-6
    for dim in range(action.shape[-1]):
        shift = torch.zeros(action.shape[-1]).double()
        shift[dim] = h
        central = (energy(action + shift) - energy(action - shift)) / (2 * h)
        error = (gradient[..., dim] - central).abs() / (1 + central.abs())
        assert (error < 1e-3).double().mean() > 0.99
        assert error.median() < 1e-6


class TestAlgebra:
    def test_all_commutes_and_associates(self, obs, action):
        a, b = gaussians()
        c = KeepOutDisk([0.0, 0.0], 0.5)
        whole = AllOf(a, b, c).bind(obs)(action)
        close(AllOf(c, a, b).bind(obs)(action), whole)
        close(AllOf(a, AllOf(b, c)).bind(obs)(action), whole)
        close(AllOf(AllOf(a, b), c).bind(obs)(action), whole)

    def test_any_commutes(self, obs, action):
        a, b = gaussians()
        one = AnyOf(a, b, weights=[0.2, 0.8]).bind(obs)(action)
        close(AnyOf(b, a, weights=[0.8, 0.2]).bind(obs)(action), one)
        close(AnyOf(a, b, weights=[2, 8]).bind(obs)(action), one)

    def test_any_of_the_same_is_that(self, obs, action):
        a, _ = gaussians()
        difference = AnyOf(a, a).bind(obs)(action) - a.bind(obs)(action)
        close(difference, difference[:, :1].expand_as(difference), atol=1e-4, rtol=0)

    def test_a_constant_changes_no_choice(self, obs, action):
        a, b = gaussians()
        high = Gaussian(a.mean, a.std, offset=50.0)
        for kind in (AllOf, AnyOf):
            best = kind(a, b).bind(obs)(action).argmin(1)
            assert torch.equal(kind(high, b).bind(obs)(action).argmin(1), best)
        best = AllOf(b, Not(a)).bind(obs)(action)
        close(AllOf(b, Not(high)).bind(obs)(action), best)

    @pytest.mark.parametrize("name", compositions())
    def test_candidates_and_batch_items_are_independent(self, name, obs, action):
        composition = compositions()[name]
        energy = composition.bind(obs)(action)
        order = torch.randperm(COUNT)
        close(composition.bind(obs)(action[:, order]), energy[:, order])
        for b in range(BATCH):
            row = {key: value[b : b + 1] for key, value in obs.items()}
            close(composition.bind(row)(action[b : b + 1]), energy[b : b + 1])

    def test_not_is_bounded(self, obs):
        a, _ = gaussians()
        far = torch.linspace(-100, 100, 2000).view(1, -1, 1).expand(BATCH, -1, 2)
        energy = Not(a, strength=7.0).inside(obs)(far)
        assert energy.min() >= 0
        assert energy.max() <= 7.0
        peak = a.mean.expand(BATCH, 1, 2)
        assert (Not(a, strength=7.0).inside(obs)(peak) > 3.5).all()

    @pytest.mark.parametrize("name", compositions())
    def test_gradient(self, name, obs, action):
        obs = {key: value.double() for key, value in obs.items()}
        assert_gradient(compositions()[name].bind(obs), action)

    @pytest.mark.parametrize("kind", [AllOf, AnyOf])
    def test_fast_paths_survive(self, kind, obs, action):
        a, b = gaussians()
        bound = kind(a, AllOf(b)).bind(obs)
        action_gradient(bound, action)
        assert a.own_gradients == b.own_gradients == 1
        cheap = bound.low_precision()
        assert cheap.bound[0].fn.cheap
        assert cheap.bound[1].fn.bound[0].fn.cheap
        close(cheap(action), bound(action))
        exact = AllOf(KeepOutDisk([0.0, 0.0], 0.5)).bind(obs)
        assert exact.low_precision() is exact

    def test_terms_add_up(self, obs, action):
        bound = compositions()["all"].bind(obs)
        terms = bound.terms(action)
        assert list(terms) == ["Gaussian", "Gaussian_2", "KeepOutDisk"]
        close(sum(terms.values()), bound(action))
        nested = compositions()["nested"].bind(obs).terms(action)
        assert "AnyOf/AllOf/KeepOutDisk" in nested
        close(
            nested["AnyOf"] + nested["Not"] + nested["Custom"],
            compositions()["nested"].bind(obs)(action),
        )

    def test_gradients_reach_the_parameters(self, action):
        """A composition is an energy like any other, also for training."""
        spec = Spec(
            obs={"pos": ObsField((2,), "float32")},
            obs_horizon=2,
            action_dim=2,
            action_horizon=1,
            action_low=(-1.0,) * 2,
            action_high=(1.0,) * 2,
        )
        energy = make_energy(spec)
        bound = AllOf(energy, KeepOutDisk([0.0, 0.0], 0.3)).bind({"pos": torch.rand(BATCH, 2, 2)})
        action_gradient(bound, action, create_graph=True).square().sum().backward()
        assert any(p.grad is not None for p in energy.parameters())


class TestAgainstGrids:
    """Shares of probability by exact sums over a fine grid."""

    def shares(self, energy, obs, dims, split):
        line = torch.linspace(-1, 1, 4001 if dims == 1 else 401)
        points = torch.cartesian_prod(*[line] * dims).view(-1, dims)
        p = torch.softmax(-energy.bind(obs)(points.expand(BATCH, -1, -1)).double(), 1)
        return p[:, points[:, 0] < split].sum(1)

    @pytest.mark.parametrize("dims", [1, 2])
    @pytest.mark.parametrize("share", [0.5, 0.2])
    def test_any_keeps_each_share(self, dims, share, obs):
        """The offset is five times an observation's entry: without calibration one mode would take all."""
        left = Gaussian([-0.5] * dims, 0.1, offset=5.0)
        right = Gaussian([0.5] * dims, 0.15, offset=-5.0)
        found = self.shares(AnyOf(left, right, weights=[share, 1 - share]), obs, dims, 0.0)
        close(found, torch.full((BATCH,), share).double(), atol=0.02, rtol=0)

    def test_any_of_boxes_that_do_not_touch(self, obs):
        left = Gaussian([-0.5], 10.0, offset=5.0, high=-0.2)
        right = Gaussian([0.5], 10.0, low=0.4)
        found = self.shares(AnyOf(left, right), obs, 1, 0.1)
        close(found, torch.full((BATCH,), 0.5).double(), atol=0.02, rtol=0)

    def test_all_is_the_product(self, obs):
        a, b = Gaussian([-0.2], 0.3), Gaussian([0.4], 0.4)
        line = torch.linspace(-1, 1, 2001).view(1, -1, 1).expand(BATCH, -1, -1)
        product = torch.softmax(-a.bind(obs)(line), 1) * torch.softmax(-b.bind(obs)(line), 1)
        product = product / product.sum(1, keepdim=True)
        close(torch.softmax(-AllOf(a, b).bind(obs)(line), 1), product, atol=1e-6, rtol=1e-3)

    def test_temperature_widens(self, obs):
        line = torch.linspace(-1, 1, 2001).view(1, -1, 1).expand(BATCH, -1, -1)
        wide = torch.softmax(-Gaussian([0.0], 0.2).bind(obs)(line), 1)
        hot = AllOf(Gaussian([0.0], 0.1), temperatures=[4.0]).bind(obs)
        close(torch.softmax(-hot(line), 1), wide)

    def test_not_removes_a_mode(self, obs):
        left, right = Gaussian([-0.5], 0.1), Gaussian([0.5], 0.1)
        found = self.shares(AllOf(AnyOf(left, right), Not(left)), obs, 1, 0.0)
        assert (found < 0.02).all()
