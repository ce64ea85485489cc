"""After an interruption a policy goes on from the action that was executed."""

import numpy as np
import pytest
import torch
from known_energies import ACTION_SPEC, policy_of
from served import serving, sum_policy

from ibc import AllOf, AsynchronousController, ComposedPolicy, Controller, UserError
from ibc.constraints import ActionRateLimit
from ibc.policies import Policy
from ibc.spec import PREVIOUS_ACTION
from ibc_client import Client

OBS = {"state": [0.0, 0.0]}


class Remembering(Policy):
    """Chunks of four, 0.1 to 0.4; keeps which action it is told was the last."""

    def __init__(self):
        super().__init__(
            type(ACTION_SPEC).from_dict({**ACTION_SPEC.to_dict(), "action_horizon": 4})
        )
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.told = []

    def fit(self, dataset):
        """Nothing."""

    def act_flat(self, obs, rng):
        self.told.append(obs[PREVIOUS_ACTION][0, 0].numpy().copy())
        return torch.tensor([[0.1, 0.2, 0.3, 0.4]]).repeat(len(obs["state"]), 1)


def controllers():
    policy = Remembering()
    yield policy, Controller(policy)
    policy = Remembering()
    yield (
        policy,
        AsynchronousController(
            policy, way="naive", num_execute_steps=4, rate=10, deadline_ms=100, simulated=True
        ),
    )


@pytest.mark.parametrize(("policy", "made"), list(controllers()), ids=["plain", "asynchronous"])
def test_the_policy_is_told_of_the_last_action(policy, made):
    made.reset()
    made.step(OBS)
    second = made.step(OBS)
    made.decide_anew()
    made.step(OBS)
    assert np.isnan(policy.told[0]).all()
    np.testing.assert_array_equal(policy.told[-1], second)
    made.decide_anew(executed=[0.75])
    made.step(OBS)
    np.testing.assert_array_equal(policy.told[-1], [0.75])
    for wrong in ([0.1, 0.2], [np.nan], 0.3):
        with pytest.raises(UserError, match="executed=.*1 finite numbers"):
            made.decide_anew(executed=wrong)


def test_a_hard_limit_of_the_rate_holds():
    policy = policy_of(lambda action: (action - 0.9).square())
    hard = ComposedPolicy(policy.policy, AllOf(policy.energy, ActionRateLimit(0.05)), hard=True)
    made = Controller(hard)
    made.reset()
    made.decide_anew(executed=[-0.5])
    assert made.step(OBS)[0] <= -0.45 + 1e-6
    before = made.step(OBS)
    made.decide_anew()
    assert abs(made.step(OBS) - before)[0] <= 0.05 + 1e-6


def test_a_server_hears_of_the_safe_action():
    policy, told = sum_policy(), []
    act = policy.act_flat

    def act_flat(obs, rng):
        told.append(obs[PREVIOUS_ACTION][0, 0].tolist())
        return act(obs, rng)

    policy.act_flat = act_flat
    seen = {"state": np.zeros(3, np.float32), "front": np.zeros((4, 5, 3), np.uint8)}
    with serving(policy) as server, Client(server.url, safe_action=[7.0, -7.0]) as client:
        client.timeout = 2.0
        client.reset(0)
        client.step(seen)
        refused = client.step(None)
        assert (refused.is_safe_action, "not a NoneType" in refused.reason) == (True, True)
        client.step(seen)
    assert told[-1] == [7.0, -7.0]
