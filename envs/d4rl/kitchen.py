"""Franka Kitchen as a benchmark needs it, with today's observation or with that of the original data."""

from __future__ import annotations

import copy
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from ibc_envs.actions import finite
from numpy.typing import NDArray

#: Where each element's joints are among the 30 positions (9 of the robot, 21 of objects), as the simulator has it too.
ELEMENT = {
    "bottom burner": (11, 13),
    "top burner": (15, 17),
    "light switch": (17, 19),
    "slide cabinet": (19, 20),
    "hinge cabinet": (20, 22),
    "microwave": (22, 23),
    "kettle": (23, 30),
}
ROBOT, OBJECTS = slice(0, 9), slice(18, 39)
POSITIONS = 30


class KitchenFixes(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Success in ``info``, and nothing in observation or ``info`` that changes later.

    Gymnasium-Robotics 1.4.2 hands out its own goals and its own list of completed tasks, which the next step or reset
    changes under the hands of whoever kept them (its issue 336), and lists tasks in the random order of a set.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As the wrapped environment, all tasks to be done again."""
        obs, info = self.env.reset(seed=seed, options=options)
        return copy.deepcopy(obs), self._info(info)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """The reward is the number of tasks completed by this step."""
        finite(action)
        obs, reward, terminated, truncated, info = self.env.step(action)
        return copy.deepcopy(obs), reward, terminated, truncated, self._info(info)

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        done = list(info["episode_task_completions"])
        goals = self.env.unwrapped.goal  # type: ignore[attr-defined]
        return {
            "tasks_to_complete": sorted(info["tasks_to_complete"]),
            "step_task_completions": sorted(info["step_task_completions"]),
            "episode_task_completions": done,
            "success": len(done) == len(goals),
        }


class LegacyKitchen(
    gym.ObservationWrapper[NDArray[np.float64], Any, Any], gym.utils.RecordConstructorArgs
):
    """The 60 numbers of the original data: 30 joint positions, then their goals, zero where there is none.

    Today's 59 have velocities and no goals (D4RL, ``kitchen_multitask_v0``, against Gymnasium-Robotics 1.4.2).
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2 * POSITIONS,), np.float64)

    def observation(self, observation: Any) -> NDArray[np.float64]:
        """Positions without velocities, with goals."""
        now = observation["observation"]
        goal = np.zeros(POSITIONS)
        for task, value in observation["desired_goal"].items():
            goal[slice(*ELEMENT[task])] = value
        return np.concatenate([now[ROBOT], now[OBJECTS], goal])
