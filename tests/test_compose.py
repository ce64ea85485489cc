"""Compositions by their axioms and against grids; constraints by their zero sets and finite differences."""

import math

import numpy as np
import pytest
import torch
from conftest import ROOT
from ibc_envs.particle.env import control_step
from known_energies import Gaussian, rng
from test_energies import make_energy

from ibc.checkpoint import load_checkpoint
from ibc.cli.compose import composed
from ibc.cli.config import compose
from ibc.composition import AllOf, AnyOf, Not
from ibc.constraints import (
    AccelerationLimit,
    ActionRateLimit,
    Constraint,
    Custom,
    DeltaPositionControl,
    HalfPlane,
    JointLimits,
    KeepOutBox,
    KeepOutDisk,
    NearGoal,
    PDController,
    PositionControl,
    SpeedLimit,
    StayWithin,
)
from ibc.control import Controller
from ibc.energies import action_gradient
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, MSEPolicy
from ibc.policies.composed import first_feasible
from ibc.policies.loading import build_policy
from ibc.samplers import DFO, Candidates
from ibc.spec import ObsField, Spec

BATCH, COUNT = 3, 40
BODY = {"stiffness": 10.0, "damping": 5.0, "substep": 0.005, "substeps": 10}


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


CONSTRAINTS = {
    "disk": lambda m: KeepOutDisk([0.2, 0.1], 0.3, model=m),
    "moving disk": lambda m: KeepOutDisk("disk", 0.4, velocity="vel", model=m),
    "goal": lambda m: NearGoal("disk", 0.3, model=m),
    "bowl": lambda m: NearGoal([0.1, 0.2], model=m),
    "within": lambda m: StayWithin([-0.2, -0.3], [0.4, 0.5], model=m),
    "joints": lambda m: JointLimits([-0.5, -0.5], [0.5, 0.5], margin=0.1, model=m),
    "box": lambda m: KeepOutBox([-0.2, -0.1], [0.5, 0.6], model=m),
    "half-plane": lambda m: HalfPlane([1.0, 2.0], 0.3, model=m),
    "speed": lambda m: SpeedLimit(0.3, model=m),
    "acceleration": lambda m: AccelerationLimit(0.2, "vel", model=m),
}
MODELS = {
    "set-point": lambda: PositionControl("pos", dt=0.5),
    "delta": lambda: DeltaPositionControl("pos", scale=0.5, dt=0.5),
    "body": lambda: PDController("pos", "vel", **BODY, lookahead=6),
}


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
        assert energy.head.weights().tensors[0].grad is not None or any(
            p.grad is not None for p in energy.parameters()
        )


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


class TestConstraints:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("name", CONSTRAINTS)
    @pytest.mark.parametrize("chunk", [1, 3])
    def test_zero_set_and_gradient(self, name, model, chunk, obs):
        obs = {key: value.double() for key, value in obs.items()}
        bound = CONSTRAINTS[name](MODELS[model]()).bind(obs)
        action = torch.randn(BATCH, 200, 2 * chunk).double()
        feasible, energy = bound.feasible(action), bound(action)
        assert (energy[feasible] <= 1e-6).all()
        assert (energy[~feasible] > 0).all()
        assert torch.equal(bound.violation(action) == 0, feasible)
        assert_gradient(bound, action)
        assert (action_gradient(bound, action)[feasible].abs() < 0.1).all()

    def test_a_constraint_is_one_method(self, obs, action):
        """A user's constraint: its gradient, feasible set, violation and sharing of predictions come with it."""

        class StayLeft(Constraint):
            def excess(self, points, obs):
                return points[..., 0] - obs["disk"][:, None, -1:, 0]

        obs = {key: value.double() for key, value in obs.items()}
        model = PDController("pos", "vel", **BODY, lookahead=4)
        mine, disk = StayLeft(model), KeepOutDisk("disk", 0.3, model=model)
        bound, action = mine.bind(obs), action.double()
        points = model.predict(obs, 1, 2).points(action)
        excess = (points[..., 0] - obs["disk"][:, None, -1:, 0]).clamp(min=0)
        close(bound(action), 1e4 * excess.square().sum(-1))
        assert torch.equal(bound.feasible(action), (excess <= 1e-6).all(-1))
        assert torch.equal(bound.violation(action) == 0, bound.feasible(action))
        assert_gradient(bound, action)
        both = AllOf(mine, disk, weights=[2.0, 1.0]).bind(obs)
        close(both(action), 2 * bound(action) + disk.bind(obs)(action))
        assert_gradient(both, action)

    def test_an_excess_of_another_shape(self, obs, action):
        class Flat(Constraint):
            def excess(self, points, obs):
                return points[..., 0, 0]

        with pytest.raises(UserError, match=r"term Flat: its excess has shape \(3, 40\)"):
            Flat().bind(obs)(action)

    @pytest.mark.parametrize("previous", [True, False])
    def test_smooth(self, previous, obs):
        obs = {key: value.double() for key, value in obs.items()}
        if not previous:
            obs["previous_action"] = torch.full((BATCH, 1, 2), torch.nan).double()
        bound = ActionRateLimit(0.5).bind(obs)
        action = torch.randn(BATCH, 200, 4).double()
        change = (action[..., 2:] - action[..., :2]).norm(dim=-1)
        if previous:
            first = (action[..., :2] - obs["previous_action"]).norm(dim=-1)
            change = torch.maximum(change, first)
        assert torch.equal(bound.feasible(action), change <= 0.5)
        assert_gradient(bound, action)

    def test_by_hand(self, obs):
        """Excesses in environment units, one point each."""
        for constraint, point, excess in [
            (KeepOutDisk([1.0, 0.0], 0.5, strength=1.0), (1.3, 0.4), 0.0),
            (KeepOutDisk([1.0, 0.0], 0.6, strength=1.0), (1.3, 0.4), 0.1),
            (NearGoal([1.0, 0.0], 0.3, strength=1.0), (1.3, 0.4), 0.2),
            (StayWithin([0.0, 0.0], [1.0, 1.0], strength=1.0), (1.3, 0.4), 0.3),
            (KeepOutBox([0.0, 0.0], [2.0, 1.0], strength=1.0), (1.3, 0.4), 0.4),
            (HalfPlane([3.0, 4.0], 5.0, strength=1.0), (3.0, 1.5), 2.0),
            (JointLimits([-1.0] * 2, [1.0] * 2, margin=0.2, strength=1.0), (0.9, 0.0), 0.1),
        ]:
            energy = constraint.bind(obs)(torch.tensor(point).expand(BATCH, 1, 2))
            close(energy, torch.full((BATCH, 1), excess**2), atol=1e-6, rtol=1e-4)

    def test_speed_and_acceleration_by_hand(self):
        obs = {"pos": torch.zeros(1, 1, 2), "vel": torch.tensor([[[1.0, 0.0]]])}
        action = torch.tensor([[[0.3, 0.4]]])
        speed = SpeedLimit(0.5, model=DeltaPositionControl("pos", dt=0.5), strength=1.0).bind(obs)
        close(speed(action), torch.tensor([[0.25]]))  # 1 unit/s
        model = DeltaPositionControl("pos", dt=0.5)
        change = AccelerationLimit(1.0, "vel", model=model, strength=1.0).bind(obs)
        expected = math.hypot(0.6 - 1.0, 0.8) / 0.5 - 1.0
        close(change(action), torch.tensor([[expected**2]]))

    def test_the_body_is_the_particle(self):
        """The forward model against the environment's own step, over a chunk and the time after it."""
        rng = np.random.default_rng(0)
        position, velocity = rng.normal(size=(2, 3))
        chunk = rng.normal(size=(2, 3))
        obs = {"p": torch.tensor(position).view(1, 1, 3), "v": torch.tensor(velocity).view(1, 1, 3)}
        prediction = PDController("p", "v", **BODY, lookahead=5).predict(obs, 2, 3)
        points = prediction.points(torch.tensor(chunk).view(1, 1, 6))[0, 0]
        for k in range(6):
            position, velocity = control_step(position, velocity, chunk[min(k, 1)])
            np.testing.assert_allclose(points[k].numpy(), position, atol=1e-12)

    def test_custom(self, obs, action):
        bound = Custom(leftward).bind(obs)
        assert torch.equal(bound.feasible(action), leftward(obs, action) <= 1e-6)
        obs = {key: value.double() for key, value in obs.items()}
        assert_gradient(Custom(leftward).bind(obs), action)


def nan_constraint(obs, action):
    return action[..., 0] * torch.nan


def wrong_shape(obs, action):
    return action


DISK = KeepOutDisk([0.0, 0.0], 0.1)


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (AllOf, "AllOf has no terms"),
            (AnyOf, "AnyOf has no terms"),
            (lambda: AllOf(Not(DISK)), r"nothing but Not \(Not\)"),
            (lambda: AnyOf(DISK, Not(DISK)), "AnyOf: Not says where not to go; put it into AllOf"),
            (lambda: Not(Not(DISK)), "got a Not"),
            (lambda: AllOf(DISK, weights=[1.0, 2.0]), "1 terms but 2 weights"),
            (lambda: AllOf(DISK, weights=[-1.0]), "weight of term KeepOutDisk is -1.0"),
            (lambda: AnyOf(DISK, temperatures=[0.0]), "temperature of term KeepOutDisk is 0.0"),
            (lambda: AllOf(DISK, names=["a", "b"]), "different names"),
            (lambda: Not(DISK, strength=math.inf), "strength of term KeepOutDisk is inf"),
            (
                lambda: AllOf(Gaussian([0.0], 1.0), Gaussian([0.0], 1.0, low=2.0, high=3.0)),
                "bounds of term Gaussian_2 have no action in common with those of Gaussian",
            ),
            (lambda: AllOf(Gaussian([0.0], 1.0), Gaussian([0.0] * 2, 1.0)), "different sizes"),
            (lambda: KeepOutDisk([0.0, math.nan], 0.1), "KeepOutDisk: center=.*finite"),
            (lambda: KeepOutDisk([0.0], -0.1), "KeepOutDisk: radius=-0.1"),
            (lambda: KeepOutDisk([0.0], math.nan), "KeepOutDisk: radius=nan"),
            (lambda: KeepOutDisk([0.0], 0.1, velocity="v"), "name of an observation"),
            (lambda: KeepOutDisk([0.0], 0.1, strength=0.0), "strength=0.0"),
            (lambda: StayWithin([1.0], [0.0]), "low must not exceed high"),
            (lambda: JointLimits([0.0], [0.1], margin=0.2), "low must not exceed high"),
            (lambda: HalfPlane([0.0, 0.0], 1.0), "no direction"),
            (lambda: Custom(leftward, strength=-1.0), "strength=-1.0"),
            (lambda: PositionControl(dt=0.0), "dt=0.0; it must be positive"),
            (lambda: PDController("p", "v", **BODY, lookahead=0), "lookahead=0"),
        ],
    )
    def test_at_construction(self, make, message):
        with pytest.raises(UserError, match=message) as error:
            make()
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Not(DISK), r"Not\(KeepOutDisk\) says where not to go and nothing else"),
            (lambda: Custom(nan_constraint), r"term Custom\(nan_constraint\): it gives NaN"),
            (lambda: AllOf(Custom(wrong_shape)), r"term Custom\(wrong_shape\): .* shape \(3, 40\)"),
            (lambda: AllOf(Gaussian([math.nan] * 2, 1.0)), "term Gaussian: energies are NaN"),
            (lambda: KeepOutDisk([0.0] * 3, 0.1), "do not hold points of 3 dimensions"),
            (
                lambda: KeepOutDisk([0.0] * 3, 0.1, model=DeltaPositionControl("pos")),
                "has 3 dimensions, its model 2",
            ),
            (
                lambda: KeepOutDisk("smell", 0.1),
                "term KeepOutDisk: there is no observation 'smell'",
            ),
            (
                lambda: SpeedLimit(0.1, model=PositionControl()),
                "term SpeedLimit: its model needs the name",
            ),
        ],
    )
    def test_at_the_first_call(self, make, message, obs, action):
        with pytest.raises(UserError, match=message) as error:
            make().bind(obs)(action)
        assert "\n" not in str(error.value)

    def test_an_observation_that_another_policy_needs(self, spec, obs):
        with pytest.raises(UserError, match="term MLPEnergy needs observation 'goal'"):
            AllOf(make_energy(spec)).bind(obs)


@pytest.fixture(scope="module")
def policy():
    return build_policy(load_checkpoint(ROOT / "pretrained/particle_2d.pt"), torch.device("cpu"))


def particle_obs(batch=2):
    obs = {
        f"pos_{name}": torch.rand(batch, 2, 2) for name in ("agent", "first_goal", "second_goal")
    }
    return {**obs, "vel_agent": torch.zeros(batch, 2, 2)}


class TestPolicy:
    def test_searches_the_intersection(self, policy):
        narrow = Gaussian([0.5, 0.5], 1.0, low=0.4, high=0.6)
        both = ComposedPolicy(policy, AllOf(policy.energy, narrow))
        found = both.search({**particle_obs(), "pos": torch.zeros(2, 2, 2)}, rng()).action
        assert found.min() >= 0.4 - 1e-6
        assert found.max() <= 0.6 + 1e-6

    def test_an_energy_alone_is_the_policy(self, policy):
        obs = particle_obs()
        alone = ComposedPolicy(policy, AllOf(policy.energy)).act(obs, rng())
        close(alone, policy.act(obs, rng()), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("hard", [False, True])
    def test_a_warm_start_begins_at_the_previous_action(self, policy, hard, monkeypatch):
        starts = []

        class Recorded(DFO):
            def __call__(self, space, init, rng):
                starts.append(space.bounds.from_unit(init))
                return super().__call__(space, init, rng)

        sampler = Recorded(num_candidates=8, num_iterations=1, noise_std=0.1, shrink=0.5)
        monkeypatch.setattr(policy, "sampler", sampler)
        monkeypatch.setattr(policy, "warm_start_fraction", 0.5)
        energy = AllOf(policy.energy, KeepOutDisk([0.9, 0.9], 0.1))
        previous = torch.tensor([[[0.3, 0.4]], [[torch.nan, torch.nan]]])
        obs = {**particle_obs(), "previous_action": previous}
        ComposedPolicy(policy, energy, hard=hard).act(obs, rng())
        first, second = starts[0]
        near = (first - torch.tensor([0.3, 0.4])).abs().amax(-1) < 0.2
        close(first[0], torch.tensor([0.3, 0.4]))
        assert near[:4].all()
        assert not near[4:].all()
        assert torch.isfinite(second).all()

    def test_hard_needs_a_constraint(self, policy):
        with pytest.raises(UserError, match="needs a constraint"):
            ComposedPolicy(policy, AllOf(policy.energy), hard=True).act(particle_obs(), rng())

    def test_hard_chooses_what_is_feasible(self, policy):
        obs = particle_obs()
        best = policy.act(obs, rng())[0, 0].tolist()
        disk = KeepOutDisk(best, 0.2, strength=1e-3)  # too weak to matter as a preference
        soft = ComposedPolicy(policy, AllOf(policy.energy, disk))
        soft.act(obs, rng())
        assert soft.report()["feasible"][0] == 0
        hard = ComposedPolicy(policy, AllOf(policy.energy, disk), hard=True)
        action = hard.act(obs, rng())
        assert hard.report()["feasible"].tolist() == [1, 1]
        assert (action[0, 0] - torch.tensor(best)).norm() >= 0.2 - 1e-5

    def test_the_fallback_is_the_least_violation(self, policy):
        impossible = AllOf(policy.energy, StayWithin([2.0, 0.0], [3.0, 1.0]))
        hard = ComposedPolicy(policy, impossible, hard=True)
        action = hard.act(particle_obs(), rng())
        assert hard.report()["feasible"].tolist() == [0, 0]
        assert (action[..., 0] > 0.95).all()

    def test_first_feasible(self):
        candidates = Candidates(torch.arange(6.0).view(2, 3, 1), torch.tensor([[1.0, 2, 3]] * 2))
        feasible = torch.tensor([[False, True, True], [False] * 3])
        violation = torch.tensor([[9.0, 0, 0], [3, 2, 1]])
        assert first_feasible(candidates, feasible, violation).best().flatten().tolist() == [1, 5]

    def test_any_is_feasible_where_one_is(self, obs, action):
        left, right = StayWithin([-1.0] * 2, [0.0] * 2), StayWithin([0.0] * 2, [1.0] * 2)
        either = AnyOf(left, right).bind(obs)
        parts = left.bind(obs).feasible(action) | right.bind(obs).feasible(action)
        assert torch.equal(either.feasible(action), parts)
        free = AnyOf(left, Gaussian([0.0] * 2, 1.0)).bind(obs)
        assert free.feasible(action).all()

    def test_the_actor_tells_the_previous_action(self, policy):
        seen = []

        def record(obs, action):
            seen.append(obs["previous_action"].clone())
            return action[..., 0] - 10.0

        controller = Controller(
            ComposedPolicy(policy, AllOf(policy.energy, Custom(record), ActionRateLimit(0.1)))
        )
        controller.reset(7)
        obs = {name: array[0, -1].numpy() for name, array in particle_obs(1).items()}
        first = controller.step(obs)
        assert seen[-1].isnan().all()
        second = controller.step(obs)
        np.testing.assert_array_equal(seen[-1][0, 0], first)
        assert np.linalg.norm(second - first) < 0.2
        assert [set(report) for report in controller.actor.reports[7]] == [
            {"feasible", "MLPEnergy", "Custom", "ActionRateLimit"}
        ] * 2

    def test_not_for_policies_without_energy(self, spec):
        mse = MSEPolicy.__new__(MSEPolicy)
        with pytest.raises(UserError, match="is for implicit policies; this is a MSEPolicy"):
            composed(mse, {"terms": []}, torch.device("cpu"))


def test_several_policies_share_one_weight(policy):
    """Three times the same energy, in equal parts of one, is that energy: steps down it keep their size."""
    path = str(ROOT / "pretrained/particle_2d.pt")
    found = composed(policy, {"other": [path, path]}, torch.device("cpu"))
    obs, action = particle_obs(), torch.rand(2, 5, 2)
    torch.testing.assert_close(found.energy.bind(obs)(action), policy.energy.bind(obs)(action))


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "configs/compose").glob("*.yaml")))
def test_every_yaml(name, policy):
    path = ROOT / "pretrained/particle_2d.pt"
    overrides = [f"checkpoint={path}", f"compose={name}"]
    if name == "policies":
        overrides.append(f"compose.other={path}")
    config = compose("evaluate", overrides)["compose"]
    found = composed(policy, config, torch.device("cpu"))
    assert found.act(particle_obs(), rng()).shape == (2, 1, 2)


@pytest.mark.parametrize("operation", ["all", "any", "not"])
def test_every_operation(operation, policy):
    path = ROOT / "pretrained/particle_2d.pt"
    overrides = [f"checkpoint={path}", "compose=policies", f"compose.other={path}"]
    config = compose("evaluate", [*overrides, f"compose.operation={operation}"])["compose"]
    found = composed(policy, config, torch.device("cpu"))
    assert found.act(particle_obs(), rng()).shape == (2, 1, 2)


def test_the_example_of_the_documentation_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs/compose.md").read_text()
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert "'feasible': tensor([1.])" in capsys.readouterr().out
