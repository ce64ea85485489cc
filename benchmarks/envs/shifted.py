"""A task in which one thing differs from the demonstrations."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

#: What may differ, with the meaning of its size.
SHIFTS = {
    "mass": "times as heavy blocks",
    "goal": "how far every target is moved along the first axis, in units of the environment",
    "camera": "pixels by which the picture is moved to the side",
    "delay": "steps by which actions come late",
    "hinge": "friction of the door's hinges (N m)",
}


class Shifted(gym.Wrapper[Any, Any, Any, Any]):
    """An environment in which ``shift`` differs by ``size`` (:data:`SHIFTS`).

    Args:
        env_id: of the environment.
        shift: one of the names.
        size: how much.
        kwargs: of the environment.

    Raises:
        ValueError: there is no such shift.
    """

    def __init__(self, env_id: str, shift: str, size: float = 0.0, **kwargs: Any) -> None:
        if shift not in SHIFTS:
            raise ValueError(f"shift={shift}; allowed: {', '.join(SHIFTS)}")
        super().__init__(gym.make(env_id, disable_env_checker=True, **kwargs))
        self.shift, self.size = shift, size
        self._waiting: deque[NDArray[np.float32]] = deque()
        inner: Any = self.env.unwrapped
        if shift == "mass":
            for body in range(inner.simulation.model.nbody):
                if inner.simulation.model.body(body).name.startswith("block"):
                    inner.simulation.model.body_mass[body] *= size
                    inner.simulation.model.body_inertia[body] *= size
        if shift == "hinge":
            inner.model.dof_frictionloss[-2:] = size

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and move what is moved."""
        obs, info = self.env.reset(**kwargs)
        self._waiting.clear()
        inner: Any = self.env.unwrapped
        if self.shift == "goal" and hasattr(inner, "simulation"):
            import mujoco

            simulation = inner.simulation
            simulation.data.mocap_pos[:, 0] += self.size
            mujoco.mj_kinematics(simulation.model, simulation.data)
            obs = inner._obs()
        elif self.shift == "goal":
            inner._second = inner._second + self.size * np.eye(inner.n_dim)[0]
            obs = inner._obs()
        return self._seen(obs), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Execute an action, or the one of some steps before; the first one stands in for those before it."""
        if self.shift == "delay":
            if not self._waiting:
                self._waiting.extend([action] * int(self.size))
            self._waiting.append(action)
            action = self._waiting.popleft()
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._seen(obs), reward, terminated, truncated, info

    def _seen(self, obs: Any) -> Any:
        if self.shift != "camera":
            return obs
        count = int(self.size)
        picture = obs["rgb"]
        moved = np.concatenate([picture[:, :1].repeat(count, 1), picture[:, :-count]], 1)
        return {**obs, "rgb": moved}
