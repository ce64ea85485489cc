"""Constraints by their zero sets and finite differences."""

import math

import numpy as np
import pytest
import torch
from ibc_envs.particle.env import control_step

from ibc.component import describe
from ibc.composition import AllOf
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
from ibc.construct import construct
from ibc.energies import action_gradient
from ibc.errors import UserError

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

    def test_a_margin_is_described_once(self, obs):
        """A saved constraint comes back as it was: the margin is not applied to limits that have it already."""
        limits = JointLimits([-1.0] * 2, [1.0] * 2, margin=0.2)
        action = torch.tensor([0.7, 0.9]).expand(BATCH, 1, 2)
        again = construct(describe(limits), "constraint")
        close(again.bind(obs)(action), limits.bind(obs)(action))

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
