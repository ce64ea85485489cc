"""``info["success"]`` after every reset and step, whatever the environment offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
from ibc_envs.actions import finite


class SuccessInfo(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Puts success into ``info``: the environment's own, or whether the return so far has reached ``success_return``.

    Locomotion has no goal of its own; there the expert's return of the benchmark is the threshold.
    """

    def __init__(self, env: gym.Env[Any, Any], *, success_return: float | None = None) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, success_return=success_return)
        gym.Wrapper.__init__(self, env)
        from gymnasium.envs.mujoco import MujocoEnv  # not before an environment is made

        # The registered rate is not always that of the simulation, which in a maze is the robot's, within it.
        for part in (env.unwrapped, *vars(env.unwrapped).values()):
            if isinstance(part, MujocoEnv):
                self.metadata = {**env.metadata, "render_fps": 1 / part.dt}
        self._threshold = success_return
        self._return = 0.0
        # Mazes leave the model they were built from behind.
        leftover = getattr(env.unwrapped, "tmp_xml_file_path", None)
        if leftover is not None:
            Path(leftover).unlink(missing_ok=True)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As the wrapped environment; a new return begins."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._return = 0.0
        return obs, self._told(info)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """As the wrapped environment."""
        finite(action)
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        return obs, reward, terminated, truncated, self._told(info)

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        if self._threshold is not None:
            return {**info, "success": self._return >= self._threshold}
        return {**info, "success": bool(info.get("success", False))}
