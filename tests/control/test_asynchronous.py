"""Searching while acting: which action is executed when, by hand."""

import functools
import time

import numpy as np
import pytest
import torch
from known_detectors import first_entry_detector

import ibc
from ibc import AsynchronousController, UserError
from ibc.constraints import ActionRateLimit
from ibc.control import InDoubt
from ibc.control.plan import NEWER, Plan
from ibc.detection import Score
from ibc.energies import PreconditionedEnergy
from ibc.nn import ObsEncoder
from ibc.nn.sequence import FiLMMLP
from ibc.policies import Policy
from ibc.samplers import DFO
from ibc.spec import COMMITTED_ACTIONS, PREVIOUS_CHUNK

OBS = {"clock": np.zeros(1, np.float32)}


def spec_of(horizon):
    return ibc.Spec(
        obs={"clock": ibc.ObsField((1,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=horizon,
        action_low=(-1e4,),
        action_high=(1e4,),
    )


class Counting(Policy):
    """Chunks 100 c + 0, 1, 2, ..., where c is the step that the policy saw."""

    def __init__(self, horizon, seconds=0.0):
        super().__init__(spec_of(horizon))
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seconds, self.seen = seconds, []

    def fit(self, dataset):
        """Nothing."""

    def search(self, obs, rng):
        """Only so that it is one that could hold actions."""

    def act_flat(self, obs, rng):
        self.seen.append({name: array.clone() for name, array in obs.items()})
        time.sleep(self.seconds)
        return 100 * obs["clock"][:, 0] + torch.arange(self.spec.action_size)


def run(policy, steps, **kwargs):
    """The actions of an episode whose observation is the number of its step; latency in steps of 100 ms."""
    controller = AsynchronousController(policy, rate=10, simulated=True, **kwargs)
    controller.reset()
    actions = [float(controller.step({"clock": np.float32([t])})[0]) for t in range(steps)]
    controller.close()
    return actions


def test_naive_chunks_replace_one_another_when_they_come():
    actions = run(Counting(6), 8, way="naive", deadline_ms=200, num_execute_steps=5)
    # Searches see steps 0, 3, 6; the first is waited for, the others come two steps later, after five of a chunk.
    assert actions == [0, 1, 2, 3, 4, 302, 303, 304]


def test_searches_follow_one_another_where_nothing_else_is_said():
    actions = run(Counting(6), 7, way="naive", deadline_ms=200)
    assert actions == [0, 1, 2, 3, 202, 203, 402]


def test_a_blocking_robot_holds_still_while_it_searches():
    kwargs = {"way": "blocking", "deadline_ms": 200, "num_execute_steps": 2}
    assert run(Counting(6), 8, **kwargs) == [0, 1, 1, 1, 200, 201, 201, 201]
    held = run(Counting(6), 8, hold_action=[-5.0], **kwargs)
    assert held == [0, 1, -5, -5, 200, 201, -5, -5]


def test_an_ensemble_is_the_mean_of_what_chunks_say_of_a_step():
    actions = run(Counting(3), 3, way="ensembled", deadline_ms=0)
    second = (1 + NEWER * 100) / (1 + NEWER)
    third = (2 + NEWER * 101 + NEWER**2 * 200) / (1 + NEWER + NEWER**2)
    np.testing.assert_allclose(actions, [0, second, third], rtol=1e-5)


def test_committed_actions_and_the_plan_are_what_will_be_executed():
    policy = Counting(5)
    run(policy, 7, way="committed", deadline_ms=200, num_execute_steps=5)
    first, second, third = policy.seen
    assert torch.isnan(first[COMMITTED_ACTIONS]).all()
    assert second[COMMITTED_ACTIONS].flatten()[:2].tolist() == [3, 4]
    assert torch.isnan(second[COMMITTED_ACTIONS].flatten()[2:]).all()
    assert second[PREVIOUS_CHUNK].flatten().tolist() == [3, 4, 4, 4, 4]
    assert third[COMMITTED_ACTIONS].flatten()[:2].tolist() == [303, 304]


def test_without_latency_every_way_but_the_ensemble_is_a_controller():
    for way in ("committed", "naive", "blocking"):
        actions = run(Counting(4), 6, way=way, deadline_ms=0, num_execute_steps=2)
        assert actions == [0, 1, 200, 201, 400, 401]


def make_policy(horizon=8):
    energy = PreconditionedEnergy(
        ObsEncoder(num_gates=0), FiLMMLP(width=8, num_blocks=1), context_size=8
    )
    return ibc.ImplicitPolicy(spec_of(horizon), energy).eval()


class Clock(Score):
    """What the policy's observation says."""

    def __call__(self, decision):
        return decision.obs["clock"][:, -1, 0]


def test_a_search_goes_on_from_what_an_operator_does():
    policy = Counting(6)
    controller = AsynchronousController(
        policy, rate=10, deadline_ms=200, simulated=True,
        detector=first_entry_detector(scores=[Clock()]), on_doubt=lambda obs: [-7.0],
    )  # fmt: skip
    controller.reset()
    clocks = [0, 1, 30, 31, 32, 33, 6, 7, 8, 9]  # seen at step 2 and 4, and known at step 4 and 6
    actions = [float(controller.step({"clock": np.float32([t])})[0]) for t in clocks]
    controller.close()
    assert actions == [0, 1, 2, 3, -7, -7, -7, -7, 602, 603]
    committed = [seen[COMMITTED_ACTIONS][0, :2, 0].tolist() for seen in policy.seen[1:]]
    assert committed == [[2, 3], [-7, -7], [-7, -7], [602, 603]]


def test_a_step_that_raises_is_over():
    policy = Counting(6)
    controller = AsynchronousController(
        policy, rate=10, deadline_ms=200, way="naive", simulated=True,
        detector=first_entry_detector(scores=[Clock()]), on_doubt="stop",
    )  # fmt: skip
    controller.reset()
    actions = []
    for clock in (0, 1, 30, 3, 4, 5):
        try:
            actions.append(float(controller.step({"clock": np.float32([clock])})[0]))
        except InDoubt:
            actions.append(None)
    controller.close()
    assert actions == [0, 1, 2, 3, None, 5]


def test_a_policy_may_be_asked_anew():
    policy = Counting(6)
    controller = AsynchronousController(
        policy, rate=10, deadline_ms=200, way="naive", simulated=True
    )
    controller.reset()
    for clock in (0, 1, 2):
        controller.step({"clock": np.float32([clock])})
    controller.decide_anew()
    assert float(controller.step({"clock": np.float32([9])})[0]) == 900
    controller.close()


def test_a_search_takes_the_threads_of_the_controller():
    policy, threads = Counting(6), []
    act = policy.act_flat
    policy.act_flat = lambda *given: threads.append(torch.get_num_threads()) or act(*given)
    run(policy, 3, way="naive", deadline_ms=200)
    assert set(threads) == {1}


def test_a_chunk_that_follows_committed_actions_has_them():
    """With a real search: what was planned for the steps of the latency is executed, whatever is found."""
    policy = make_policy()
    controller = AsynchronousController(
        policy, rate=10, deadline_ms=300, num_execute_steps=7, simulated=True
    )
    controller.reset(1)
    executed = []
    for t in range(12):
        if t == 4:
            promised = controller._courses[0].plan.ahead(t, 3)
        executed.append(controller.step({"clock": np.float32([t])}))
        if t == 7:
            start, chunk = controller._courses[0].plan.chunks[-1]
            assert start == 4
            np.testing.assert_array_equal(chunk[:3], promised)
    np.testing.assert_array_equal(executed[4:7], promised)
    controller.close()


def test_several_environments_have_plans_of_their_own():
    policy = Counting(6)
    together = AsynchronousController(policy, rate=10, deadline_ms=100, way="naive", simulated=True)
    together.reset(0, env_index=0)
    actions = {0: [], 1: []}
    for t in range(6):
        if t == 2:
            together.reset(0, env_index=1)
        obs = {i: {"clock": np.float32([t])} for i in (0, 1) if i == 0 or t >= 2}
        for index, action in together.step_many(obs).items():
            actions[index].append(float(action[0]))
    together.close()
    assert actions[0] == run(Counting(6), 6, way="naive", deadline_ms=100)
    assert len(actions[1]) == 4


@pytest.mark.parametrize("ways", [{}, {"way": "naive"}, {"way": "committed"}])
def test_a_loop_may_change_actions_in_place(ways):
    """It executes, and the policy sees, the same as in a loop that leaves them as they are."""
    actions, seen = [], []
    for factor in (1, 1000):
        policy = Counting(3)
        make = ibc.Controller
        if ways:
            make = functools.partial(
                AsynchronousController, rate=10, deadline_ms=200, simulated=True, **ways
            )
        controller = make(policy)
        controller.reset()
        for t in range(7):
            action = controller.step({"clock": np.float32([t])})
            actions.append(float(action[0]))
            action *= factor
        seen.append(repr(policy.seen))
        if ways:
            controller.close()
    assert actions[:7] == actions[7:]
    assert seen[0] == seen[1]


def test_in_real_time_a_step_does_not_wait_for_the_search():
    policy = Counting(8, seconds=0.15)
    controller = AsynchronousController(policy, rate=20, deadline_ms=200, way="naive")
    controller.reset()
    actions, waits = [], []
    for t in range(10):
        start = time.monotonic()
        actions.append(float(controller.step({"clock": np.float32([t])})[0]))
        seconds = time.monotonic() - start
        waits.append(seconds)
        time.sleep(max(0.0, 0.05 - seconds))
    controller.close()
    assert np.median(waits) < 0.05  # the first action is waited for
    # An action is the one for its own step, from the newest chunk there is.
    assert all(action % 100 + action // 100 == t for t, action in enumerate(actions))
    assert actions[-1] >= 400
    assert all(0.1 < seconds < 0.4 for seconds in controller.latencies)


@pytest.mark.parametrize("is_composed", [False, True])
def test_in_real_time_the_search_ends_at_the_deadline_and_the_policy_is_unchanged(is_composed):
    policy = inner = make_policy()
    if is_composed:  # a sum has no noise levels
        inner.sampler = DFO(num_candidates=64, num_iterations=3, noise_std=0.1, shrink=0.5)
        term = ibc.StayWithin([-1e4], [1e4])
        policy = ibc.ComposedPolicy(inner, ibc.AllOf(inner.energy, term), hard=True)
    sampler = inner.sampler
    controller = AsynchronousController(policy, rate=10, deadline_ms=100)
    controller.reset()
    for _ in range(3):
        assert np.isfinite(controller.step(OBS)).all()
    controller.close()
    assert inner.sampler is sampler
    assert not is_composed or policy.policy is inner
    limited = controller.actor.policy
    assert (limited.policy if is_composed else limited).sampler.seconds < 0.1


def test_an_error_of_the_policy_reaches_the_step():
    policy = Counting(4)
    controller = AsynchronousController(policy, rate=10, deadline_ms=100, way="naive")
    with pytest.raises(UserError, match="reset"):
        controller.step(OBS)
    controller.reset()
    policy.act_flat = None
    with pytest.raises(TypeError):
        controller.step(OBS)
    controller.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"way": "psychic"}, "way=psychic; allowed: committed"),
        ({"rate": 0}, "rate=0"),
        ({"rate": np.nan}, "rate=nan"),
        ({"rate": np.inf}, "rate=inf"),
        ({"deadline_ms": np.nan}, "deadline_ms=nan"),
        ({"deadline_ms": 0}, "deadline_ms=0"),
        ({"deadline_ms": 400}, "4 steps"),
        ({"deadline_ms": 200, "num_execute_steps": 2}, "after 2 steps"),
        ({"way": "ensembled", "num_execute_steps": 2}, "leave out num_execute_steps"),
        ({"hold_action": [0.0, 0.0]}, "are 1 finite numbers"),
        ({"hold_action": [np.nan]}, "are 1 finite numbers"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        AsynchronousController(Counting(4), **{"rate": 10, "deadline_ms": 100, **change})


def test_a_closed_one_refuses_steps():
    made = AsynchronousController(
        Counting(4), way="naive", rate=10, deadline_ms=100, simulated=True
    )
    made.reset()
    made.step(OBS)
    made.close()
    with pytest.raises(UserError, match="is closed"):
        made.step(OBS)


@pytest.mark.parametrize("way", ["naive", "ensembled"])
def test_hard_constraints_need_chunks_that_are_executed_as_they_were_checked(way):
    policy = make_policy()
    hard = ibc.ComposedPolicy(policy, ibc.AllOf(policy.energy, ActionRateLimit(0.1)), hard=True)
    with pytest.raises(UserError, match=f"way={way} .* choose committed or blocking"):
        AsynchronousController(hard, rate=10, deadline_ms=100, way=way)


def test_only_a_search_can_hold_actions():
    from ibc.policies import MSEPolicy

    policy = MSEPolicy(spec_of(4), ObsEncoder(num_gates=0), width=8)
    with pytest.raises(UserError, match="MSEPolicy cannot hold"):
        AsynchronousController(policy, rate=10, deadline_ms=100)
    AsynchronousController(policy, rate=10, deadline_ms=100, way="naive").close()


def test_a_plan_says_what_it_holds():
    plan = Plan("naive", last=np.float32([1.0]))
    assert plan.left(0) == 0
    np.testing.assert_array_equal(plan.ahead(0, 2), [[1], [1]])
    plan.add(np.float32([[5.0], [6.0]]), seen_at=0, now=1)
    assert plan.left(1) == 1
    np.testing.assert_array_equal(plan.ahead(1, 3), [[6], [6], [6]])
