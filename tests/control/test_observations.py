"""Observations that a policy does not use: kept where a term of a composition could use them, else left out."""

import dataclasses

import numpy as np
import pytest
import torch
from known_energies import ACTION_SPEC, policy_of

from ibc import AsynchronousController, Controller, UserError
from ibc.control import FunctionExpert
from ibc.policies import Policy

STATE = np.zeros(2, np.float32)


class Watching(Policy):
    """Keeps what it is given, in a window of two observations."""

    def __init__(self):
        super().__init__(dataclasses.replace(ACTION_SPEC, obs_horizon=2))
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def fit(self, dataset):
        """Nothing."""

    def act_flat(self, obs, rng):
        self.seen.append({name: array.clone() for name, array in obs.items()})
        return torch.zeros(len(obs["state"]), 1)


def controller(is_asynchronous=False):
    policy = Watching()
    made = Controller(policy)
    if is_asynchronous:
        made = AsynchronousController(policy, rate=10, deadline_ms=0, way="naive", simulated=True)
    made.reset()
    return made, policy.seen


@pytest.mark.parametrize("is_asynchronous", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"extra": "push"}, {"extra": "push"}),
        ({"extra": None}, {"extra": None}),
        ({"extra": [[1.0], [1.0, 2.0]]}, {"extra": [1.0]}),
        ({"extra": np.zeros((7, 3))}, {"extra": np.zeros((9, 3))}),
        ({"extra": 1.0}, {}),
        ({}, {"extra": 1.0}),
    ],
)
def test_what_cannot_be_stacked_is_left_out(first, second, is_asynchronous):
    made, seen = controller(is_asynchronous)
    for extra in (first, second):
        made.step({"state": STATE, **extra})
    assert set(seen[-1]) == {"state", "previous_action"}
    if is_asynchronous:
        made.close()


def test_numbers_that_a_term_could_use_are_kept_as_they_were():
    made, seen = controller()
    disk = np.array([0.5, 0.5])
    for _ in range(2):
        made.step({"state": STATE, "disk": disk, "count": 3, "instruction": "push"})
        disk += 1  # the buffer of a camera, say
    assert set(seen[-1]) == {"state", "previous_action", "disk", "count"}
    assert seen[-1]["disk"].tolist() == [[[0.5, 0.5], [1.5, 1.5]]]


def test_environments_whose_other_observations_differ_are_decided_together():
    made, seen = controller()
    made.reset(1, env_index=1)
    made.step_many({i: {"state": STATE, "cloud": np.zeros((3 + i, 3))} for i in (0, 1)})
    assert set(seen[-1]) == {"state", "previous_action"}


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        ({"debug": None}, "the policy needs observation 'state'; it was given debug"),
        ({"state": np.zeros(3)}, r"observation 'state' has shape \(3,\)"),
        ({"state": [[1.0], [1.0, 2.0]]}, "observation 'state' is no array of numbers"),
        ({"state": ["a", "b"]}, "observation 'state' is no array of numbers"),
    ],
)
def test_what_the_policy_uses_is_still_checked(obs, message):
    made, _ = controller()
    made.step({"state": STATE})
    with pytest.raises(UserError, match=message):
        made.step(obs)


def test_an_action_that_is_not_finite_is_not_executed():
    policy = policy_of(lambda action: action.square()).policy
    policy.act_flat = lambda obs, rng: obs["state"][:, -1, :1] * 1e30
    made = Controller(policy)
    made.reset()
    with pytest.raises(UserError, match="the policy's action is not finite"):
        made.step({"state": [1e20, 0.0]})
    assert made.step({"state": [0.0, 0.0]}) == 0


def test_an_expert_is_given_texts():
    made = Controller(FunctionExpert(lambda obs: [float(str(obs["say"]) == "push")]))
    made.reset()
    assert made.step({"say": "push"}).tolist() == [1.0]


@pytest.mark.unchecked
def test_what_is_no_policy_or_no_observation_is_refused():
    with pytest.raises(UserError, match="takes a policy .* or an actor, not a str"):
        Controller("policy.pt")
    controller = Controller(Watching())
    controller.reset()
    with pytest.raises(UserError, match="not a list"):
        controller.step([0.0, 1.0])


@pytest.mark.parametrize("is_asynchronous", [False, True])
def test_observations_of_several_environments_are_checked_as_those_of_one(is_asynchronous):
    made, seen = controller(is_asynchronous)
    made.reset(env_index=1)
    for wrong in ({}, {"state": [np.nan, 0.0]}, {"state": [1.0]}, {"state": "here"}):
        with pytest.raises(UserError, match="observation 'state'"):
            made.step_many({0: {"state": STATE}, 1: wrong})
    made.step_many({0: {"state": [1.0, 2.0]}, 1: {"state": np.zeros(2)}})
    np.testing.assert_array_equal(seen[-1]["state"][0], [[1.0, 2.0]] * 2)  # nothing else was kept
    if is_asynchronous:
        made.close()
