"""What the tabletop tasks share: observations, actions, pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import combinations
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from ibc_envs.actions import clipped
from ibc_envs.arguments import not_negative, whole
from ibc_envs.block_push.scene import Scene
from ibc_envs.block_push.simulation import Simulation
from ibc_envs.studio import Cameras
from numpy.typing import NDArray

Array = NDArray[np.float64]
Obs = dict[str, NDArray[Any]]

#: The tool's first set-point, and the greatest change of it in a control step (m).
TOOL_START, MAX_DELTA = (0.3, -0.4), 0.1
#: Centers of where blocks and targets are drawn, and half the width of the draw (m).
BLOCK_AREA, TARGET_AREA, SPREAD = (0.4, -0.2), (0.4, 0.2), (0.1, 0.15)
#: Half the range of a target's yaw around that of the table (rad).
TARGET_TURN = np.pi / 6
#: Midway: how far off their straight ways blocks are (m, standard deviation), how far apart from one another and from
#: the rod at least, and in which rectangle (m, two corners) the rod is.
MIDWAY_OFF, MIDWAY_APART, MIDWAY_CLEAR, MIDWAY_ROD = 0.02, 0.08, 0.05, ((0.2, -0.45), (0.6, 0.45))
#: Share of the steps in which there is noise on the action.
NOISE_SHARE = 0.15


class TabletopEnv(gym.Env[Obs, NDArray[np.float32]], ABC):
    """A rod on a table, moved by changes of its set-point at 10 Hz.

    Action: what is added to the rod's *set-point* (x, y), m, at most 0.1 each; the set-point stays in the workspace and
    in the arm's reach, and the rod travels to it at constant speed.

    Observation, a dictionary of vectors in m, for a second block and target with a 2 in their names:

    - ``block_translation`` (2,), ``block_orientation`` (2,);
    - ``effector_translation`` (2,), where the rod is, ``effector_target_translation`` (2,), its set-point;
    - ``target_translation`` (2,), ``target_orientation`` (2,);
    - ``effector_target_to_block`` (2,), ``block_to_target`` (2,): differences of the above.

    That is what the published environments observe, with two changes. Orientations are the cosine and sine of *four
    times* the yaw, not the yaw: a square looks the same after a quarter turn, and so does this, without a jump. The
    differences, given besides, spare a policy the subtraction of numbers that are a hundred times larger than the
    precision wanted. ``pixels`` adds ``rgb`` (H, W, 3), uint8, from the published camera.

    Success is in ``info`` at every step, and ends the episode; the task's registration limits its length.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    #: What lies on the table.
    scene: ClassVar[Scene] = Scene()

    def __init__(
        self,
        *,
        tolerance: float = 0.02,
        arm: str = "slides",
        pixels: bool = False,
        image_size: Sequence[int] = (240, 320),
        init_midway_prob: float = 0.0,
        action_noise_std: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        """A tabletop task.

        Args:
            tolerance: distance (m) at which a target counts as reached; the published demonstrations were collected
                at 0.01 and policies evaluated at 0.02.
            arm: ``slides``, the rod alone on two slide joints, or ``xarm``, in the hand of an arm: the same contacts,
                at half the speed.
            pixels: whether to observe ``rgb``.
            image_size: (H, W) of it.
            init_midway_prob: for demonstrations, the share of episodes that begin with the work half done: blocks
                between their start and their targets, the rod anywhere. They show how to recover from errors.
            action_noise_std: for demonstrations, the standard deviation (m) of noise that moves the set-point in a part
                of the steps. The expert's own action is recorded, so that it shows recoveries (Laskey et al. 2017).
            render_mode: None or ``rgb_array``.

        Raises:
            ValueError: an argument is not as above.
            RuntimeError: pixels are wanted, and nothing here can render.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode}; allowed: rgb_array")
        if not 0 < tolerance < np.inf:
            raise ValueError(f"tolerance={tolerance}; it must be positive, and finite")
        if not isinstance(image_size, Sequence) or len(image_size) != 2:
            raise ValueError(f"image_size={image_size}; it must be height and width")
        height, width = image_size
        whole(height=height, width=width)
        if not 0 <= init_midway_prob <= 1:
            raise ValueError(f"init_midway_prob={init_midway_prob}; it must be a share, 0 to 1")
        not_negative(action_noise_std=action_noise_std)
        self.tolerance = tolerance
        self.init_midway_prob = init_midway_prob
        self.action_noise_std = action_noise_std
        self.render_mode = render_mode
        self.simulation = Simulation(self.scene, arm)
        self._cameras = Cameras(
            self.simulation.model, self.simulation.data, (height, width) if pixels else None
        )
        self.action_space = gym.spaces.Box(-MAX_DELTA, MAX_DELTA, (2,), np.float32)
        circle = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.simulation.reset(*self._nominal())
        spaces: dict[str, gym.spaces.Box] = {
            name: circle
            if name.endswith("orientation")
            else gym.spaces.Box(-np.inf, np.inf, value.shape, np.float32)
            for name, value in self._state().items()
        }
        if pixels:
            spaces["rgb"] = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)

    def _nominal(self) -> tuple[Array, list[Array], list[Array]]:
        """Any placement, to ask the observation's names of."""
        blocks = [np.array([0.4 + 0.1 * i, 0.0, 0.0]) for i in range(self.scene.num_blocks)]
        return np.array(TOOL_START), blocks, [np.zeros(3) for _ in self.scene.targets]

    def _draw(self) -> tuple[Array, list[Array], list[Array]]:
        """The rod (x, y) and the poses (x, y, yaw) of blocks and targets for a new episode."""
        block = np.append(self._around(BLOCK_AREA), self.np_random.uniform(-np.pi, np.pi))
        return np.array(TOOL_START), [block], [self._draw_target()]

    def _draw_target(self) -> Array:
        return np.append(self._around(TARGET_AREA), self.np_random.uniform(-1, 1) * TARGET_TURN)

    def _around(self, center: tuple[float, float]) -> Array:
        return center + self.np_random.uniform(-1, 1, 2) * SPREAD

    def _go_midway(self, blocks: list[Array], targets: list[Array]) -> Array:
        """Move the blocks along their ways; returns where the rod (2,) is then."""
        count = len(blocks)
        begun = [block[:2].copy() for block in blocks]
        ends = [targets[i][:2] for i in self.np_random.permutation(count)]
        while True:
            done = self.np_random.uniform(0, 1, count)
            # Often one is untouched.
            done[self.np_random.integers(count)] *= self.np_random.integers(2)
            for block, start, end, share in zip(blocks, begun, ends, done, strict=True):
                block[:2] = start + share * (end - start) + self.np_random.normal(0, MIDWAY_OFF, 2)
            rod = self.np_random.uniform(*MIDWAY_ROD)
            apart = [float(np.linalg.norm(a[:2] - b[:2])) for a, b in combinations(blocks, 2)]
            clear = [float(np.linalg.norm(block[:2] - rod)) for block in blocks]
            if min(apart, default=np.inf) > MIDWAY_APART and min(clear) > MIDWAY_CLEAR:
                return np.array(rod)

    def _begin(self) -> None:
        """Forget the last episode."""

    @abstractmethod
    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        """Whether the task is solved now, the reward, and what else to tell."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw where things are."""
        super().reset(seed=seed)
        rod, blocks, targets = self._draw()
        if self.init_midway_prob > 0 and self.np_random.random() < self.init_midway_prob:
            rod = self._go_midway(blocks, targets)
        self.simulation.reset(rod, blocks, targets)
        self._begin()
        success, _, info = self._judge()
        return self._obs(), {"success": success, **info}

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Move the set-point by ``action`` (2,) and follow it for 0.1 s."""
        delta = clipped(action, -MAX_DELTA, MAX_DELTA, (2,))
        if self.action_noise_std > 0 and self.np_random.random() < NOISE_SHARE:
            delta += self.np_random.normal(0, self.action_noise_std, 2)
        self.simulation.move(self.simulation.setpoint + delta)
        success, reward, info = self._judge()
        return self._obs(), reward, success, False, {"success": success, **info}

    def _state(self) -> dict[str, Array]:
        sim = self.simulation
        blocks, targets = sim.blocks, sim.targets
        out: dict[str, Array] = {}
        for name, poses in (("block", blocks), ("target", targets)):
            for i, pose in enumerate(poses):
                numbered = name + ("" if i == 0 else str(i + 1))
                out[f"{numbered}_translation"] = pose[:2]
                out[f"{numbered}_orientation"] = np.array(
                    [np.cos(4 * pose[2]), np.sin(4 * pose[2])]
                )
        out["effector_translation"] = sim.tool
        out["effector_target_translation"] = sim.setpoint
        for i, block in enumerate(blocks):
            number = "" if i == 0 else str(i + 1)
            out[f"effector_target_to_block{number}"] = block[:2] - sim.setpoint
            for j, target in enumerate(targets):
                numbered = "target" + ("" if j == 0 else str(j + 1))
                out[f"block{number}_to_{numbered}"] = target[:2] - block[:2]
        return out

    def _obs(self) -> Obs:
        obs: Obs = {name: value.astype(np.float32) for name, value in self._state().items()}
        return obs | self._cameras.observe()

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """A picture for films, (480, 640, 3)."""
        return self._cameras.film()

    def close(self) -> None:
        """Release the renderers."""
        self._cameras.close()
