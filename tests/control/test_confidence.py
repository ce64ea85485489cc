"""What controllers do with a detector: confidence by hand, and each reaction to doubt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_detectors import first_entry_detector as detector
from known_energies import ACTION_SPEC, policy_of

from ibc import AllOf, AsynchronousController, ComposedPolicy, Controller, Detector, UserError
from ibc.constraints import StayWithin
from ibc.control import FunctionExpert, InDoubt
from ibc.detection import GradientResidual, Score
from ibc.policies import MSEPolicy

CALM, STRANGE = {"state": [0.0, 0.0]}, {"state": [9.0, 0.0]}


def bowl(action):
    return 0.5 * (action - 0.2).square()


def controller(on_doubt=None, **kwargs):
    made = Controller(policy_of(bowl), detector=detector(**kwargs), on_doubt=on_doubt)
    made.reset()
    return made


def test_confidence_is_the_p_value_of_the_average_of_the_last_decisions():
    made = controller(window=2)
    assert made.confidence == 1
    confidences = []
    for first in (0.0, 4.5, 9.5, 30.0):  # values 0, 9, 19, 60, averages 0, 4.5, 14, 39.5
        made.step({"state": [first, 0.0]})
        confidences.append(made.confidence)
    assert confidences == [20 / 20, 15 / 20, 6 / 20, 1 / 20]
    made.reset(1)
    assert made.confidence == 1
    made.step(CALM)
    assert made.confidence == 1  # nothing of the last episode is averaged


def test_actions_are_the_same_with_a_detector_that_does_not_interfere():
    plain, judged = Controller(policy_of(bowl)), controller()
    plain.reset()
    for _ in range(3):
        np.testing.assert_array_equal(plain.step(STRANGE), judged.step(STRANGE))
    assert judged.confidence == 0.1


def test_stop_raises_before_anything_is_executed():
    made = controller("stop")
    made.step(CALM)
    with pytest.raises(InDoubt, match="environment 0: the decision has confidence 0.05") as doubt:
        made.step({"state": [20.0, 0.0]})
    assert doubt.value.env_index == 0
    assert doubt.value.confidence == 0.05
    assert made.confidence == 0.05
    made.step(CALM)  # one may go on


def test_doubt_adds_up_where_the_robot_is_stopped():
    made = controller("stop", window=2)
    made.step(CALM)
    for first in (20.0, 17.0):  # averages of (0, 40) and of (40, 34), where (0, 34) were no doubt
        with pytest.raises(InDoubt):
            made.step({"state": [first, 0.0]})
        assert made.confidence == 0.05


def test_a_function_is_asked_until_a_decision_is_not_in_doubt():
    asked = []

    def operator(obs):
        asked.append(float(obs["state"][0]))
        return [-0.7]

    made = controller(operator)
    calm = made.step(CALM)
    actions = [float(made.step({"state": [first, 0.0]})[0]) for first in (20.0, 21.0, 1.0)]
    assert asked == [20.0, 21.0]
    assert actions[:2] == [pytest.approx(-0.7)] * 2
    assert actions[2] == pytest.approx(float(calm[0]), abs=0.01)
    wrong = controller(lambda obs: [0.0, 0.0])
    with pytest.raises(UserError, match="one action of 1 numbers"):
        wrong.step({"state": [20.0, 0.0]})


class Number(Score):
    """How many chunks went before."""

    def __call__(self, decision):
        return decision.number.to(torch.float64)


def test_chunks_are_counted_by_steps_also_where_an_operator_acts():
    """Decisions of every step, while the operator acts, are one chunk, as in calibration."""
    spec = replace(ACTION_SPEC, action_horizon=4)
    numbers = []

    class Noted(Number):
        def __call__(self, decision):
            numbers.append(int(decision.number))
            return 100.0 * (decision.obs["state"][:, -1, 0] > 1)

    made = Controller(
        MSEPolicy(spec, width=8),
        detector=detector(scores=[Noted()], window=2),
        on_doubt=lambda _: [0],
    )
    made.reset()
    for step in range(16):
        made.step({"state": [float(4 <= step < 8) * 9, 0.0]})
    assert numbers == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert made.confidence == 1


def many(action):
    """Narrow wells, of which one search with few candidates seldom finds the deepest."""
    return 0.1 * (action - 0.3).square() - torch.cos(60 * action)


def test_search_takes_the_best_of_more_searches():
    policy = policy_of(many)
    policy.policy.sampler.num_candidates, policy.policy.sampler.num_iterations = 1, 20
    policy.policy.sampler.step_init = policy.policy.sampler.step_final = 1e-3
    strict = Detector(
        [GradientResidual()], np.zeros((1, 1)), np.ones((1, 1)), np.full(19, -1.0)
    )  # every decision is in doubt
    plain, searching = Controller(policy), Controller(policy, detector=strict, on_doubt="search")
    energies = {"plain": [], "searching": []}
    for seed in range(3):
        for name, made in (("plain", plain), ("searching", searching)):
            made.reset(seed)
            energies[name].append(float(many(torch.as_tensor(made.step(CALM)))))
    assert max(energies["searching"]) < np.mean(energies["plain"])
    assert searching.confidence == 0.05  # of the action that is executed


@pytest.mark.parametrize(("limit", "feasible"), [(0.0, 1), (-2.0, 0)])
def test_search_keeps_hard_constraints_and_reports_what_is_executed(limit, feasible):
    """Of two environments, the second is in doubt; the lowest energy is not feasible, or nothing is."""
    inner = policy_of(bowl)
    term = StayWithin([-9.0], [limit], strength=1e-3)
    hard = ComposedPolicy(
        inner.policy,
        AllOf(inner.energy, term),
        hard=True,
        fallback="least_violation" if feasible else "hold",
    )
    made = Controller(hard, detector=detector(), on_doubt="search")
    for index in (0, 1):
        made.reset(index, env_index=index)
        made._episodes[index].previous = np.float32([-0.25])
    obs = {i: {"state": np.float32([20.0 * i, 0.0])} for i in (0, 1)}
    actions = made.step_many(obs)
    assert hard.report()["feasible"].tolist() == [feasible] * 2
    for index in (0, 1):
        assert float(actions[index][0]) <= 1e-6
        assert feasible or float(actions[index][0]) == -0.25
        (report,) = made.actor.reports[index]
        assert report["Known"] == pytest.approx(
            float(bowl(torch.tensor(actions[index]))[0]), abs=1e-6
        )
        assert report["feasible"] == feasible


def test_environments_are_judged_by_themselves():
    made = controller()
    made.reset(0, env_index=1)
    obs = {i: {"state": np.float32([9.0 * i, 0.0])} for i in (0, 1)}
    made.step_many(obs)
    assert (made.confidence_of(0), made.confidence_of(1)) == (1.0, 0.1)
    with pytest.raises(UserError, match="call reset"):
        made.confidence_of(2)


def asynchronous(on_doubt=None):
    made = AsynchronousController(
        policy_of(bowl), rate=10, deadline_ms=0, way="naive", simulated=True,
        detector=detector(), on_doubt=on_doubt,
    )  # fmt: skip
    made.reset()
    return made


def test_an_asynchronous_controller_judges_stops_and_asks():
    made = asynchronous(lambda obs: [-0.7])
    assert float(made.step(CALM)[0]) == pytest.approx(0.2, abs=0.05)
    assert made.confidence == 1
    assert float(made.step({"state": [20.0, 0.0]})[0]) == pytest.approx(-0.7)
    assert made.confidence == 0.05
    assert float(made.step(CALM)[0]) == pytest.approx(0.2, abs=0.05)
    made.close()
    stopping = asynchronous("stop")
    stopping.step(CALM)
    with pytest.raises(InDoubt):
        stopping.step({"state": [20.0, 0.0]})
    stopping.close()


@pytest.mark.parametrize(("way", "milliseconds"), [("naive", 0), ("blocking", 100)])
def test_an_asynchronous_controller_decides_anew_after_doubt_at_the_first_step(way, milliseconds):
    made = AsynchronousController(
        policy_of(bowl),
        rate=10,
        deadline_ms=milliseconds,
        way=way,
        simulated=True,
        detector=detector(),
        on_doubt="stop",
    )
    for index in (0, 1):
        made.reset(env_index=index)
    strange, calm = ({"state": np.float32([first, 0.0])} for first in (20.0, 0.0))
    for _ in range(2):
        with pytest.raises(InDoubt):
            made.step_many({0: strange, 1: calm})
    for action in made.step_many({0: calm, 1: calm}).values():
        assert float(action[0]) == pytest.approx(0.2, abs=0.05)
    made.close()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UserError, match="on_doubt=flee; allowed: stop, search, or a function"):
        Controller(policy_of(bowl), detector=detector(), on_doubt="flee")
    judge = detector()
    judge.num_execute_steps = 8
    with pytest.raises(UserError, match="num_execute_steps=1; .* calibrated for 8"):
        Controller(policy_of(bowl), detector=judge)
    with pytest.raises(UserError, match="on_doubt needs a detector"):
        Controller(policy_of(bowl), on_doubt="stop")
    with pytest.raises(UserError, match="not of a FunctionExpert"):
        Controller(FunctionExpert(lambda obs: [0.0]), detector=detector())
    with pytest.raises(UserError, match="searches no energy"):
        Controller(MSEPolicy(ACTION_SPEC), detector=detector(), on_doubt="search")


@pytest.mark.unchecked
@pytest.mark.parametrize("unknown", [True, 42, [0.0], np.zeros(2)])
def test_a_reaction_is_a_word_or_a_function(unknown):
    with pytest.raises(UserError, match="allowed: stop, search, or a function"):
        Controller(policy_of(bowl), detector=detector(), on_doubt=unknown)


@pytest.mark.unchecked
def test_a_detector_is_read_before():
    with pytest.raises(
        UserError, match=r"detector.npz; it is a Detector, such as ibc.Detector.load"
    ):
        Controller(policy_of(bowl), detector="detector.npz")
