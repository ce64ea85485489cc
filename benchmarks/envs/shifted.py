"""A task in which one thing differs from the demonstrations."""

from collections import deque
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from numpy.typing import NDArray

#: What may differ, with the meaning of its size.
SHIFTS = {
    "mass": "times as heavy blocks",
    "friction": "times the friction between blocks and table",
    "goal": "how far every target is moved along the first axis, in units of the environment",
    "camera": "how far the camera is moved aside (m)",
    "object": "purple boxes of a block's size that stand beside the ways",
    "delay": "steps by which actions come late",
    "hinge": "friction of the door's hinges (N m)",
}
#: Where the first box of ``object`` stands on the table, and where the next one does from there (m).
PLACE, NEXT = np.array([0.65, 0.0]), np.array([0.0, 0.1])


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
        made = cluttered(env_id, int(size)) if shift == "object" else env_id
        super().__init__(gym.make(made, disable_env_checker=True, **kwargs))
        self.shift, self.size = shift, size
        self._waiting: deque[NDArray[np.float32]] = deque()
        inner: Any = self.env.unwrapped
        if shift in ("mass", "friction", "camera"):
            change_model(inner.simulation.model, shift, size)
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
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Execute an action, or the one of some steps before; the first one stands in for those before it."""
        if self.shift == "delay":
            if not self._waiting:
                self._waiting.extend([action] * int(self.size))
            self._waiting.append(action)
            action = self._waiting.popleft()
        return self.env.step(action)


def cluttered(env_id: str, count: int) -> EnvSpec:
    """A task on the table with boxes that it does not need."""
    spec = gym.spec(env_id)
    task: Any = load_env_creator(str(spec.entry_point))
    scene = replace(task.scene, clutter=[tuple(PLACE + i * NEXT) for i in range(count)])
    return replace(spec, entry_point=type(task.__name__, (task,), {"scene": scene}))


def change_model(model: Any, shift: str, size: float) -> None:
    """Change masses, friction or the camera's pose in a MuJoCo model of tasks on the table."""
    import mujoco

    blocks = [i for i in range(model.nbody) if model.body(i).name.startswith("block")]
    if shift == "mass":
        model.body_mass[blocks] *= size
        model.body_inertia[blocks] *= size
    elif shift == "friction":  # of a contact: the larger one of its two bodies
        is_plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        model.geom_friction[is_plane | np.isin(model.geom_bodyid, blocks), 0] *= size
    else:
        eye = model.camera("observation").id
        model.cam_pos[eye] += size * model.cam_mat0[eye, ::3]  # the picture's horizontal
