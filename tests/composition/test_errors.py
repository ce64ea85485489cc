"""Errors of compositions and constraints: one line, what is wrong, what is allowed."""

import math

import pytest
import torch
from known_energies import Gaussian
from small import make_energy

from ibc.composition import AllOf, AnyOf, Not
from ibc.constraints import (
    Custom,
    DeltaPositionControl,
    HalfPlane,
    JointLimits,
    KeepOutDisk,
    PDController,
    PositionControl,
    SpeedLimit,
    StayWithin,
)
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


def nan_constraint(obs, action):
    return action[..., 0] * torch.nan


def left_or_not(obs, action):
    return action[..., 0] < 0


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
            (lambda: Custom(left_or_not), r"it gives torch.bool, expected by how much"),
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
            (lambda: KeepOutDisk("number", 0.1), "observation 'number' is a single number"),
            (
                lambda: SpeedLimit(0.1, model=PositionControl()),
                "term SpeedLimit: its model needs the name",
            ),
        ],
    )
    def test_at_the_first_call(self, make, message, obs, action):
        with pytest.raises(UserError, match=message) as error:
            make().bind({**obs, "number": torch.zeros(3, 1)})(action)
        assert "\n" not in str(error.value)

    def test_an_observation_that_another_policy_needs(self, spec, obs):
        with pytest.raises(UserError, match="term MLPEnergy needs observation 'goal'"):
            AllOf(make_energy(spec)).bind(obs)
