"""Push-T: the physics of the published task, coverage, observations and pictures."""

import json

import gymnasium as gym
import numpy as np
import pytest
from conftest import ROOT
from ibc_envs.push_t.simulation import TARGET, Simulation

from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError


@pytest.fixture
def reference():
    """An episode of gym-pusht with an older Pymunk, recorded once."""
    return json.loads((ROOT / "tests/reference/push_t.json").read_text())


def test_moves_as_the_published_task(reference):
    env = gym.make("PushT-v0").unwrapped
    obs, _ = env.reset(seed=reference["seed"])
    np.testing.assert_allclose(obs, reference["states"][0], rtol=1e-5)
    for action, state, reward in zip(
        reference["actions"], reference["states"][1:], reference["rewards"], strict=True
    ):
        obs, got, *_ = env.step(np.array(action))
        np.testing.assert_allclose(obs, state, rtol=1e-4, atol=1e-2)
        assert got == pytest.approx(reward, abs=1e-4)


def test_the_block_moved_in_the_reference(reference):
    first, last = np.array(reference["states"][0]), np.array(reference["states"][-1])
    assert np.linalg.norm(first[2:4] - last[2:4]) > 20


@pytest.mark.parametrize(
    ("pose", "coverage"),
    [
        (TARGET, 1.0),
        ((450.0, 450.0, TARGET[2]), 0.0),
        ((255.99877, 255.99885, 0.785401), 1.0),  # edges on one another to a thousandth of a pixel
        # Moved along the crossbar by its width: both bars overlap with themselves less a square, and nothing else.
        (
            (TARGET[0] + 30 * np.cos(TARGET[2]), TARGET[1] + 30 * np.sin(TARGET[2]), TARGET[2]),
            3 / 7,
        ),
    ],
)
def test_coverage(pose, coverage):
    simulation = Simulation(np.array([20.0, 20.0]), np.array(pose))
    np.testing.assert_allclose(simulation.block, pose)
    assert simulation.coverage() == pytest.approx(coverage, abs=1e-3)
    assert simulation.coverage() <= 1


def test_solved_ends_the_episode_and_the_largest_reward_is_kept():
    env = gym.make("PushT-v0").unwrapped
    env.reset(options={"state": [30.0, 30.0, *TARGET]})
    _, reward, terminated, truncated, info = env.step(np.array([30.0, 30.0]))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["success"]
    assert info["max_reward"] == 1.0
    env.simulation = Simulation(np.array([30.0, 30.0]), np.array([400.0, 400.0, 0.0]))
    _, reward, terminated, _, info = env.step(np.array([30.0, 30.0]))
    assert reward < 0.1
    assert not terminated
    assert info["max_reward"] == 1.0
    env.reset(seed=0)
    assert env.step(np.array([256.0, 256.0]))[4]["max_reward"] < 1.0


def test_observations():
    state = gym.make("PushT-v0").reset(seed=1)[0]
    keypoints = gym.make("PushT-v0", obs="keypoints").reset(seed=1)[0]
    seen = gym.make("PushT-v0", obs="pixels").reset(seed=1)[0]
    np.testing.assert_array_equal(keypoints[:2], state[:2])
    np.testing.assert_array_equal(seen["agent_position"], state[:2])
    # The crossbar's lower corners lie on either side of the block's origin, four widths apart.
    corners = keypoints[2:].reshape(8, 2)
    np.testing.assert_allclose(corners[:2].mean(0), state[2:4], atol=1e-3)
    assert np.linalg.norm(corners[0] - corners[1]) == pytest.approx(120, abs=1e-3)
    x, y = np.rint(state[:2] * 96 / 512).astype(int)
    red, _, blue = seen["image"][y, x].astype(int)
    assert blue - red > 100  # the agent is blue


def test_bad_arguments():
    with pytest.raises(ValueError, match="allowed: state, keypoints, pixels"):
        gym.make("PushT-v0", obs="x")


def test_statistics_of_an_episode():
    report = {
        "max": ["reward", "coverage"],
        "last": ["reward"],
        "mean": ["coverage"],
        "min": ["reward"],
    }
    env = Environment(EnvConfig(id="PushT-v0", report=report))
    env.reset(7)
    near = np.array([280.0, 262.0, TARGET[2]])
    env.gym_env.unwrapped.simulation = Simulation(np.array([150.0, 150.0]), near)
    reached = [env.step(np.array([256.0, 256.0], np.float32))[1] for _ in range(30)]
    assert max(reached) > min(reached)
    assert env.report() == pytest.approx(
        {
            "max_reward": max(reached),
            "max_coverage": 0.95 * max(reached),
            "last_reward": reached[-1],
            "mean_coverage": 0.95 * np.mean(reached),
            "min_reward": min(reached),
        }
    )
    env.reset(8)
    env.step(np.array([500.0, 500.0], np.float32))
    assert env.report()["max_reward"] == env.report()["min_reward"]
    with pytest.raises(UserError, match="allowed: last, max, min, mean"):
        EnvConfig(id="PushT-v0", report={"median": ["reward"]})


def test_as_the_framework_sees_it():
    env = Environment(EnvConfig(id="PushT-v0", report=["max_reward"]), render=True)
    env.reset(0)
    assert env.obs_fields["state"].shape == (5,)
    assert env.action_high.tolist() == [512, 512]
    assert env.render().shape == (480, 480, 3)
