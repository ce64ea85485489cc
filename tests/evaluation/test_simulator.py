"""What comes out of other people's environments: taken where it can be, refused in one line where not."""

import gymnasium as gym
import numpy as np
import pytest

from ibc.control import Controller, FunctionExpert
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation import evaluate
from ibc.evaluation.evaluate import format_metrics, write_json
from ibc.simulator import as_frame, as_number, as_success, named_observation, unpack
from ibc.spec import ObsField


def test_rewards_of_one_number():
    assert as_number("the reward", np.array([2.5]), "Task-v0") == 2.5
    for wrong in (np.zeros(2), "much", None):
        with pytest.raises(UserError, match="the reward of Task-v0 is .* not one number"):
            as_number("the reward", wrong, "Task-v0")


def test_success_is_true_or_false():
    assert as_success(np.array([True, True]), "success", "Task-v0")
    assert not as_success(np.array([1.0, 0.0]), "success", "Task-v0")
    for wrong in ("no", 0.7, None):
        with pytest.raises(UserError, match=r"info\['success'\] of Task-v0"):
            as_success(wrong, "success", "Task-v0")


@pytest.mark.parametrize("result", [(1, 2, 3, 4), np.zeros(3)])
def test_the_older_interface_is_named(result):
    with pytest.raises(UserError, match="step of Task-v0 returns"):
        unpack("step", result, 5, "Task-v0")


def test_observations_are_those_of_the_space():
    fields = {"state": ObsField((3,), "float32")}
    buffer = np.arange(3.0)
    obs = named_observation({"state": buffer}, fields, "Task-v0")
    buffer[:] = 0
    assert obs["state"].tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"shape \(3, 1\); its space says \(3,\)"):
        named_observation({"state": np.zeros((3, 1))}, fields, "Task-v0")
    with pytest.raises(UserError, match="no observation 'state'"):
        named_observation({}, fields, "Task-v0")


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (np.full((4, 6), 9, np.uint8), 9),
        (np.full((4, 6, 4), 9, np.uint8), 9),
        (np.full((4, 6, 3), 0.5, np.float32), 127),
        (np.full((4, 6, 1), 200.0), 200),
    ],
)
def test_frames_of_other_kinds_are_drawn(frame, value):
    found = as_frame(frame, "Task-v0")
    assert found.shape == (4, 6, 3)
    assert found.dtype == np.uint8
    assert (found == value).all()


@pytest.mark.parametrize("frame", [None, np.zeros((2, 3, 7)), np.full((2, 3), np.nan)])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(UserError, match="Task-v0"):
        as_frame(frame, "Task-v0")


class Breaks(gym.Env):
    """Gives NaN in the second step of the episodes of odd seeds."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.seed, self.t = seed, 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        broken = self.t == 2 and self.seed % 2
        obs = np.full(2, np.nan if broken else 0.5, np.float32)
        info = {"success": True, **({"told": self.t} if self.t == 4 else {})}
        return obs, np.array([1.0]), False, self.t == 4, info


SPEC = gym.envs.registration.EnvSpec("Breaks-v0", Breaks)


def test_a_simulator_that_breaks_costs_its_episode_alone(capsys):
    gym.register("Breaks-v0", Breaks, max_episode_steps=10)
    expert = FunctionExpert(lambda obs: np.zeros(1, np.float32))
    found = evaluate(Controller(expert), "Breaks-v0", seeds=range(4), num_envs=2).metrics
    assert [row["success"] for row in found["episodes"]] == [True, False, True, False]
    assert [row["length"] for row in found["episodes"]] == [4, 2, 4, 2]
    out = capsys.readouterr().out
    assert "Breaks-v0, seed 1: NaN or infinity after step 2" in out
    assert "seed 3" in out


@pytest.mark.parametrize("options", [{"success_return": 1.0}, {"success_when": "any"}])
def test_an_episode_that_breaks_is_a_failure_whatever_came_before(options, monkeypatch):
    monkeypatch.setitem(gym.registry, "Breaks-v0", SPEC)
    expert = FunctionExpert(lambda obs: np.zeros(1, np.float32))
    found = evaluate(Controller(expert), EnvConfig(id="Breaks-v0", **options), seeds=range(4))
    assert [row["success"] for row in found.metrics["episodes"]] == [True, False, True, False]
    assert found.success_rate == 0.5


def test_an_episode_that_breaks_reports_nothing(tmp_path, monkeypatch):
    """Numbers are means over the other episodes; where there are none, nothing is said."""
    monkeypatch.setitem(gym.registry, "Breaks-v0", SPEC)
    expert = FunctionExpert(lambda obs: np.zeros(1, np.float32))
    env = EnvConfig(id="Breaks-v0", report=["told"])
    found = evaluate(Controller(expert), env, seeds=range(4))
    assert [row["told"] for row in found.metrics["episodes"]] == [4, None, 4, None]
    assert found.metrics["report"] == {"told": {"mean": 4, "ci95": [4, 4], "num_episodes": 2}}
    assert np.isnan(found.episodes[1].report["told"])
    write_json(tmp_path / "figures.json", found.metrics)
    assert "NaN" not in (tmp_path / "figures.json").read_text()
    broken = evaluate(Controller(expert), env, seeds=[1, 3])
    assert "report" not in broken.metrics
    assert "success: 0.0%" in format_metrics("breaks", "expert", broken.metrics)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, True),
        ({"success_key": "solved"}, False),
        ({"success_key": "solved", "success_return": 3.0}, True),
        ({"report": ["coverage"]}, False),
        ({"report": {"max": ["reward"]}}, True),
    ],
)
def test_whether_an_evaluation_will_find_what_it_reads(options, told, monkeypatch):
    """This is asked before the first gradient step."""
    monkeypatch.setitem(gym.registry, "Breaks-v0", SPEC)
    env = Environment(EnvConfig(id="Breaks-v0", **options))
    env.reset(0)
    env.step(np.zeros(1, np.float32))
    assert env.tells_everything() == told
