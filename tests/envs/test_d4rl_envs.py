"""The benchmark's environments: horizons, success, the kitchen's defects and layouts, the maze's expert."""

import gymnasium as gym
import numpy as np
import pytest
from ibc_envs.d4rl import PointMazeExpert
from ibc_envs.d4rl.kitchen import ELEMENT
from ibc_envs.d4rl.registration import ANT_CELLS, KITCHEN, LOCOMOTION, MAZES

from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout


@pytest.mark.parametrize("maze", MAZES)
def test_the_maze_expert_always_succeeds(maze):
    config = EnvConfig(id=f"ibc/PointMaze_{maze}-v3", success_when="any")
    envs = [Environment(config) for _ in range(2)]
    expert = PointMazeExpert(env_id=config.id)
    episodes = list(rollout(envs, Controller(expert), range(6)))
    assert all(is_success(episode, "any") for episode in episodes)
    assert all(len(episode) == MAZES[maze][1] for episode in episodes)


def test_an_expert_for_mazes_needs_one():
    with pytest.raises(ValueError, match="Particle-v0 is no maze"):
        PointMazeExpert(env_id="Particle-v0")


@pytest.mark.parametrize(
    ("name", "fps"), [("PointMaze_UMaze-v3", 100), ("AntMaze_UMaze-v4", 20), ("Hopper-v4", 125)]
)
def test_films_run_at_the_speed_of_the_simulation(name, fps):
    assert Environment(EnvConfig(id=f"ibc/{name}")).fps == pytest.approx(fps)


def test_mazes_are_those_of_the_package():
    from gymnasium_robotics.envs.maze import maps

    names = {"Open": "OPEN", "UMaze": "U_MAZE", "Medium": "MEDIUM_MAZE", "Large": "LARGE_MAZE"}
    for ours, theirs in names.items():
        assert MAZES[ours][0] == getattr(maps, theirs)


@pytest.mark.parametrize("maze", ANT_CELLS)
def test_the_ant_always_has_the_same_way_and_is_done_at_its_end(maze):
    env = gym.make(f"ibc/AntMaze_{maze}-v4")
    cells = [np.array(env.unwrapped.maze.cell_rowcol_to_xy(cell)) for cell in ANT_CELLS[maze]]
    for seed in range(3):
        obs, info = env.reset(seed=seed)
        for key, cell in zip(("achieved_goal", "desired_goal"), cells, strict=True):
            assert (
                np.abs(obs[key] - cell).max() < 1.3
            )  # cells are 4 m wide, positions are drawn within 1 m
        assert info["success"] is False
    env.unwrapped.goal = obs["achieved_goal"].copy()
    _, reward, terminated, _, info = env.step(np.zeros(8, np.float32))
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    env.close()


def test_locomotion_succeeds_with_the_experts_return():
    for name, expert in LOCOMOTION.items():
        env = gym.make(f"ibc/{name}-v4")
        env.reset(seed=0)
        *_, info = env.step(env.action_space.sample())
        assert info["success"] is False
        wrapper = env
        while not hasattr(wrapper, "_threshold"):
            wrapper = wrapper.env
        assert wrapper._threshold == expert
        wrapper._return = expert + 1e3
        *_, info = env.step(env.action_space.sample())
        assert info["success"] is True
        env.reset(seed=0)
        *_, info = env.step(env.action_space.sample())
        assert info["success"] is False
        env.close()


class TestKitchen:
    def solve(self, env, tasks):
        """Put elements where they should be, behind the robot's back."""
        kitchen = env.unwrapped
        qpos = kitchen.data.qpos.copy()
        for task in tasks:
            qpos[slice(*ELEMENT[task])] = kitchen.goal[task]
        kitchen.robot_env.set_state(qpos, 0 * kitchen.data.qvel)
        return env.step(np.zeros(9))

    def test_reward_success_and_end(self):
        env = gym.make("ibc/FrankaKitchen-v1", disable_env_checker=True)
        env.reset(seed=0)
        _, reward, terminated, _, info = self.solve(env, ["microwave", "light switch"])
        assert (reward, terminated, info["success"]) == (2.0, False, False)
        _, reward, terminated, _, info = self.solve(env, ["kettle", "slide cabinet"])
        assert (reward, terminated, info["success"]) == (2.0, True, True)

    def test_what_was_handed_out_stays(self):
        env = gym.make("ibc/FrankaKitchen-v1", disable_env_checker=True)
        first, _ = env.reset(seed=0)
        *_, info = self.solve(env, ["microwave"])
        first["desired_goal"]["kettle"][:] = 9.0
        self.solve(env, ["light switch"])
        again, fresh = env.reset(seed=1)
        assert info["episode_task_completions"] == ["microwave"]
        assert fresh["episode_task_completions"] == []
        assert again["desired_goal"]["kettle"][0] != 9.0
        assert fresh["tasks_to_complete"] == sorted(KITCHEN[""])

    def test_elements_are_where_the_package_has_them(self):
        from gymnasium_robotics.envs.franka_kitchen.kitchen_env import OBS_ELEMENT_INDICES

        for name, (start, stop) in ELEMENT.items():
            assert OBS_ELEMENT_INDICES[name].tolist() == list(range(start, stop))

    @pytest.mark.parametrize("kind", KITCHEN)
    def test_legacy_observation(self, kind):
        quiet = {"robot_noise_ratio": 0.0, "object_noise_ratio": 0.0}
        env = gym.make(f"ibc/FrankaKitchen{kind}Legacy-v0", **quiet)
        obs, _ = env.reset(seed=0)
        assert obs.shape == (60,)
        np.testing.assert_allclose(obs[:30], env.unwrapped.data.qpos)
        for task, (start, stop) in ELEMENT.items():
            asked = task in KITCHEN[kind]
            goal = obs[30 + start : 30 + stop]
            np.testing.assert_array_equal(goal, env.unwrapped.goal[task] if asked else 0)


class TestPen:
    def test_legacy_horizon_and_how_to_change_it(self):
        for config, steps in ((EnvConfig(id="ibc/AdroitHandPen-v1"), 100),):
            assert Environment(config).gym_env.spec.max_episode_steps == steps
        config = EnvConfig(id="ibc/AdroitHandPen-v1", max_episode_steps=200)
        assert Environment(config).gym_env.spec.max_episode_steps == 200

    def test_reward_is_that_of_the_package(self):
        import gymnasium_robotics

        gym.register_envs(gymnasium_robotics)
        rewards = []
        for env_id in ("ibc/AdroitHandPen-v1", "AdroitHandPen-v1"):
            env = gym.make(env_id)
            env.reset(seed=3)
            env.action_space.seed(3)
            rewards.append([env.step(env.action_space.sample())[1] for _ in range(10)])
        assert rewards[0] == rewards[1]
