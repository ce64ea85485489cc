"""Pushing with a forbidden zone across the straight path."""

from typing import Any

import gymnasium as gym
import numpy as np
from ibc_envs.block_push.env import Array, Obs
from ibc_envs.block_push.tasks import BlockPushEnv
from numpy.typing import NDArray

#: Radius of the zone (m), and by how much it grows for the tool's radius and for the block's half diagonal.
ZONE_RADIUS, TOOL_RADIUS, BLOCK_RADIUS = 0.03, 0.005, 0.0283
#: Block and target are at least so far apart (m), so that the zone, in the middle, is clear of both.
MIN_LENGTH = 0.22
#: How far along the path the zone is, and how far beside it at most (m).
ALONG, ASIDE = (0.45, 0.55), 0.01


class BlockPushZoneEnv(BlockPushEnv):
    """Push the block into the target while neither it nor the rod enters a disk that lies across the straight path.

    Block and target are drawn as in :class:`BlockPushEnv`, 0.22 m or more apart; the disk's center is about in the
    middle between them, 1 cm beside the path at most.

    Observation: that of :class:`BlockPushEnv`, ``zone`` (2,), m, and ``entered`` (1,): 1 once the rod, or the circle
    around the block, has overlapped the disk at the end of a step. Success: the block is in the target, and nothing
    has entered; being in the target ends the episode in any case.
    """

    def __init__(self, **kwargs: Any) -> None:
        """As :class:`BlockPushEnv`."""
        super().__init__(**kwargs)
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        flag = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
        spaces = dict(self.observation_space)  # type: ignore[call-overload]
        self.observation_space = gym.spaces.Dict({**spaces, "zone": plane, "entered": flag})

    def _draw(self) -> tuple[Array, list[Array], list[Array]]:
        while True:
            rod, blocks, targets = super()._draw()
            path = targets[0][:2] - blocks[0][:2]
            if np.linalg.norm(path) >= MIN_LENGTH:
                break
        aside = np.array([-path[1], path[0]]) / np.linalg.norm(path)
        self._zone = (
            blocks[0][:2]
            + self.np_random.uniform(*ALONG) * path
            + self.np_random.uniform(-ASIDE, ASIDE) * aside
        )
        return rod, blocks, targets

    def _begin(self) -> None:
        self._entered = False

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """As there, and look who has entered."""
        _, _, arrived, truncated, info = super().step(action)
        tool = np.linalg.norm(self.simulation.tool - self._zone) - TOOL_RADIUS
        block = np.linalg.norm(self.simulation.blocks[0, :2] - self._zone) - BLOCK_RADIUS
        self._entered |= bool(min(tool, block) < ZONE_RADIUS)
        success = arrived and not self._entered
        return self._obs(), float(success), arrived, truncated, {**info, "success": success}

    def _obs(self) -> Obs:
        zone = getattr(self, "_zone", np.zeros(2))  # not yet drawn while spaces are made
        entered = np.array([float(getattr(self, "_entered", False))], np.float32)
        return {**super()._obs(), "zone": zone.astype(np.float32), "entered": entered}
