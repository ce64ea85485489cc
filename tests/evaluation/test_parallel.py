"""Episodes in several processes: the same rows as in one, errors in one line."""

import multiprocessing
import signal

import numpy as np
import pytest
from known_detectors import first_entry_detector
from test_rollout import random_policy

from ibc.control import AsynchronousController, Controller, FunctionExpert
from ibc.env_config import EnvConfig
from ibc.errors import UserError
from ibc.evaluation import evaluate, parallel

pytestmark = pytest.mark.unchecked

PARTICLE = EnvConfig(id="Particle-v0", max_episode_steps=5, kwargs={"n_dim": 2})


def served(monkeypatch, work):
    """What a process would send, in this one."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    sent = []

    class Sender:
        def send(self, found):
            sent.append(found)

    parallel._serve(work, Sender())
    return sent


def work_of(actor, env=PARTICLE, seeds=(7, 9)):
    return parallel._work(env, Controller(actor), seeds, 2)


def test_two_processes_give_the_rows_of_one():
    policy = random_policy(PARTICLE, 1)
    one, two = (
        evaluate(policy, PARTICLE, seeds=range(50, 53), num_envs=1, processes=processes)
        for processes in (1, 2)
    )
    assert two.metrics["episodes"] == one.metrics["episodes"]
    assert one.metrics.keys() == two.metrics.keys()
    for first, second in zip(one.episodes, two.episodes, strict=True):
        np.testing.assert_array_equal(first.action, second.action)
    assert two.metrics["policy_latency_ms"]["median"] > 0
    assert not multiprocessing.active_children()


def test_exact_evaluations_do_not_depend_on_how_many_run_at_once():
    policy = random_policy(PARTICLE, 1)
    alone, together, shared = (
        evaluate(policy, PARTICLE, seeds=range(50, 54), num_envs=n, processes=p, exact=True)
        for n, p in ((1, 1), (4, 1), (3, 2))
    )
    for first, second, third in zip(
        alone.episodes, together.episodes, shared.episodes, strict=True
    ):
        np.testing.assert_array_equal(first.action, second.action)
        np.testing.assert_array_equal(first.action, third.action)
    assert together.metrics["exact"]
    with pytest.raises(UserError, match="num_threads=2"):
        Controller(policy, num_threads=2, exact=True)


def test_exact_decisions_are_made_one_by_one(monkeypatch):
    sizes = []
    controller = Controller(random_policy(PARTICLE, 1), exact=True)
    act = controller.actor.act
    monkeypatch.setattr(controller.actor, "act", lambda e, obs: sizes.append(len(e)) or act(e, obs))
    evaluate(controller, PARTICLE, seeds=range(50, 53), num_envs=3)
    assert set(sizes) == {1}


def test_a_process_sends_episodes_with_reports_and_latencies(monkeypatch):
    policy = random_policy(PARTICLE, 1)
    policy.report = lambda: {"feasible": np.ones(2)}
    episodes = served(monkeypatch, work_of(policy))
    assert [episode.seed for episode, _ in episodes] == [7, 9]
    for _, (reports, _) in episodes:
        assert len(reports) == 5
    assert sum(len(latencies) for _, (_, latencies) in episodes) == 5


def test_errors_of_a_process_are_one_line(monkeypatch):
    def broken(obs):
        raise ZeroDivisionError("first\nsecond")

    (text,) = served(monkeypatch, work_of(FunctionExpert(broken)))
    assert text == "a process of the evaluation failed: ZeroDivisionError: first second"
    (text,) = served(monkeypatch, work_of(FunctionExpert(lambda obs: np.nan * obs["pos_agent"])))
    assert text.startswith("the expert returned")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sender.send(text)
    with pytest.raises(UserError, match="the expert returned"):
        parallel._receive(receiver)
    sender.close()
    with pytest.raises(UserError, match="ended unexpectedly"):
        parallel._receive(receiver)


def test_what_cannot_be_sent_is_refused():
    expert = Controller(FunctionExpert(lambda obs: obs["pos_agent"]))
    with pytest.raises(UserError, match="cannot be sent to another process"):
        evaluate(expert, PARTICLE, seeds=range(2), processes=2)
    assert not multiprocessing.active_children()
    with pytest.raises(UserError, match="processes=0"):
        evaluate(expert, PARTICLE, seeds=range(2), processes=0)


def test_controllers_that_processes_do_not_repeat_are_refused():
    policy = random_policy(PARTICLE, 4)
    timed = AsynchronousController(policy, rate=10, deadline_ms=0, simulated=True)
    judged = Controller(policy, detector=first_entry_detector())
    for controller, message in (
        (timed, "this AsynchronousController; give processes=1"),
        (judged, "this Controller with a detector; give processes=1"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(controller, PARTICLE, seeds=range(2), processes=2)
    timed.close()
    assert not multiprocessing.active_children()
