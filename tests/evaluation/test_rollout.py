"""The closed loop: every seed once, in order, whatever the number of environments; and its figures."""

import dataclasses
import json

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from ibc.cli.config import compose
from ibc.control import Controller, policy_actor
from ibc.data import WindowDataset
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation import evaluate
from ibc.evaluation.metrics import mean_interval, summarize, wilson_interval
from ibc.evaluation.record import record_video
from ibc.evaluation.rollout import check_fit, rollout
from ibc.evaluation.video import caption, encode_mp4
from ibc.policies.loading import make_policy
from ibc.spec import ObsField, Spec

pytestmark = pytest.mark.unchecked

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def particle():
    return EnvConfig(id="Particle-v0", success_when="last", kwargs={"n_dim": 2})


def random_policy(config, horizon):
    """An untrained implicit policy: its actions depend on every digit of its inputs and its noise."""
    env = Environment(config)
    spec = Spec(
        obs=env.obs_fields,
        obs_horizon=2,
        action_dim=2,
        action_horizon=horizon,
        action_low=(0.0, 0.0),
        action_high=(1.0, 1.0),
    )
    overrides = [
        "env=particle",
        "sampler=dfo",
        "policy.sampler.num_candidates=32",
        "network.width=8",
    ]
    return make_policy(compose("train", overrides)["policy"], spec)


@pytest.mark.parametrize("horizon", [1, 4])
def test_outcomes_do_not_depend_on_the_number_of_environments(particle, horizon):
    policy = random_policy(particle, horizon)

    def courses(num_envs):
        envs = [Environment(particle) for _ in range(num_envs)]
        return list(rollout(envs, Controller(policy), range(50, 57)))

    for alone, together in zip(courses(1), courses(3), strict=True):
        assert alone.seed == together.seed
        np.testing.assert_allclose(alone.action, together.action, atol=1e-4)


def test_episodes_come_in_the_order_of_the_seeds(particle):
    policy = random_policy(particle, 1)
    seeds = [9, 4, 7, 1]
    envs = [Environment(particle) for _ in range(2)]
    episodes = list(rollout(envs, Controller(policy), seeds))
    assert [episode.seed for episode in episodes] == seeds
    for episode in episodes:
        fresh = Environment(particle)
        np.testing.assert_array_equal(
            fresh.reset(episode.seed)["pos_agent"], episode.obs["pos_agent"][0]
        )


def test_the_actor_sees_the_windows_that_training_shows(particle):
    """Frame padding in closed loop and in the data set are one rule."""
    seen = []

    class Recorder:
        def reset(self, env_index, seed): ...

        def act(self, env_indices, obs):
            seen.append({name: array[0] for name, array in obs.items()})
            return np.full((1, 1, 2), 0.3, np.float32)

    env = Environment(particle)
    (episode,) = rollout([env], Controller(Recorder(), obs_horizon=3), [5])
    spec = Spec(
        obs=env.obs_fields,
        obs_horizon=3,
        action_dim=2,
        action_horizon=1,
        action_low=(0.0, 0.0),
        action_high=(1.0, 1.0),
    )
    batch = WindowDataset([episode], spec, CPU).batch(torch.arange(len(episode)))
    for name in spec.obs:
        np.testing.assert_array_equal(
            batch.obs[name].numpy(), np.stack([window[name] for window in seen])
        )


def test_action_chunks_are_carried_out_to_their_end(particle):
    calls = []

    class Chunks:
        def reset(self, env_index, seed): ...

        def act(self, env_indices, obs):
            calls.append(len(calls))
            return np.linspace(0, 1, 4, dtype=np.float32).repeat(2).reshape(1, 4, 2)

    (episode,) = rollout([Environment(particle)], Controller(Chunks()), [0])
    assert len(calls) == 13  # 50 steps, 4 at a time
    np.testing.assert_allclose(episode.action[:5, 0], [0, 1 / 3, 2 / 3, 1, 0], atol=1e-6)


def test_records_are_of_one_evaluation_and_do_not_grow_without_end(monkeypatch):
    """However few of them a controller keeps, an evaluation has those of every episode."""
    config = EnvConfig(id="Particle-v0", max_episode_steps=5, kwargs={"n_dim": 2})
    policy = random_policy(config, 1)
    policy.report = lambda: {"feasible": torch.zeros(1)}
    monkeypatch.setattr(policy_actor, "MOST_EPISODES", 2)
    controller = Controller(policy)
    for _ in range(2):
        rows = evaluate(controller, config, seeds=range(4), num_envs=1).metrics["episodes"]
        assert [row["infeasible_decisions"] for row in rows] == [5] * 4
        assert len(controller.latencies) == 20
        assert list(controller.actor.reports) == [2, 3]
    monkeypatch.setattr(policy_actor, "MOST_DECISIONS", 3)
    result = evaluate(controller, config, seeds=np.array([7]), num_envs=1)
    assert json.loads(json.dumps(result.metrics))["first_seed"] == 7
    assert len(controller.actor.reports[7]) == 3
    assert controller.latencies.maxlen >= 1e6


class TestFigures:
    def test_wilson_interval(self):
        """The published example of 0 of 10, and symmetry."""
        assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
        low, high = wilson_interval(30, 100)
        assert wilson_interval(70, 100) == pytest.approx((1 - high, 1 - low))
        assert wilson_interval(100, 100)[1] == 1.0
        with pytest.raises(ValueError, match="3 successes of 2"):
            wilson_interval(3, 2)

    def test_wilson_interval_covers(self):
        """Over many experiments the interval holds the truth about as often as it says."""
        rng = np.random.default_rng(0)
        hits = [
            low <= 0.9 <= high
            for low, high in (wilson_interval(int(k), 100) for k in rng.binomial(100, 0.9, 2000))
        ]
        assert np.mean(hits) == pytest.approx(0.95, abs=0.025)

    def test_mean_interval(self):
        low, high = mean_interval([1.0, 2.0, 3.0])
        assert (low + high) / 2 == pytest.approx(2.0)
        assert high - low == pytest.approx(2 * 1.96 / np.sqrt(3), abs=1e-3)
        assert mean_interval([4.0]) == (4.0, 4.0)

    def test_summary(self, episodes):
        figures = summarize(episodes, "any", [0.001, 0.002, 0.003])
        assert figures["policy_latency_ms"]["median"] == pytest.approx(2.0)
        assert [row["length"] for row in figures["episodes"]] == [5, 9, 7]
        assert figures["success_rate"] == np.mean([row["success"] for row in figures["episodes"]])


def test_video_decodes(tmp_path):
    """What is written can be read back, with as many frames, of an odd size made even."""
    frames = [caption(np.full((61, 83, 3), 5 * k, np.uint8), f"frame {k}") for k in range(12)]
    path = tmp_path / "video.mp4"
    path.write_bytes(encode_mp4(frames, fps=10.0))
    with imageio.get_reader(path) as reader:
        decoded = [reader.get_data(k) for k in range(reader.count_frames())]
    assert len(decoded) == 12
    assert decoded[0].shape == frames[0].shape
    middle = [frame[frame.shape[0] // 3, frame.shape[1] // 2].mean() for frame in decoded]
    np.testing.assert_allclose(middle, 5 * np.arange(12), atol=6)


def test_nothing_to_act_in_and_nothing_to_show_is_refused(particle):
    controller = Controller(random_policy(particle, 1))
    with pytest.raises(UserError, match="num_envs must be at least 1"):
        next(rollout([], controller, [0]))
    with pytest.raises(UserError, match="at least one seed"):
        record_video(controller, particle, seeds=[])
    environment = Environment(particle)
    environment.reset(0)
    with pytest.raises(UserError, match=r"has shape \(1,\), not \(2,\)"):
        environment.step(np.float32([0.5]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"obs": {"state": ObsField((4,), "float32")}}, "needs an observation 'state'"),
        ({"obs": {"pos_agent": ObsField((1,), "float32")}}, r"'pos_agent' of Particle-v0 is float32 \(2,\)"),
        ({"action_dim": 3, "action_low": (0.0,) * 3, "action_high": (1.0,) * 3}, "takes actions of 2 numbers"),
    ],
)  # fmt: skip
def test_a_policy_of_another_task_is_refused(particle, change, message):
    """Shapes that broadcast would be evaluated in silence."""
    spec = dataclasses.replace(random_policy(particle, 1).spec, **change)
    with pytest.raises(UserError, match=message):
        check_fit(spec, Environment(particle))
