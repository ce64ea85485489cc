"""The tasks on the table: where things are drawn, and what solves them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ibc_envs.arguments import not_given
from ibc_envs.block_push.env import BLOCK_AREA, TARGET_AREA, TARGET_TURN, Array, TabletopEnv
from ibc_envs.block_push.geometry import quarter_turn_error
from ibc_envs.block_push.scene import AMBER, BLUE, Scene

#: The point to reach lies this far behind the block, seen from the target.
PRE_PUSH_DISTANCE = 0.05
#: Discontinuous: where the targets are drawn along y, and how far apart at least along x.
FIRST_Y, SECOND_Y, SEPARATION = 0.0, 0.4, 0.15
#: Multimodal: how far apart blocks and targets are at least along x.
BLOCK_SEPARATION, TARGET_SEPARATION = 0.1, 0.12
#: Insert: where the slot is drawn along y (center, half width), and how exactly a block lies in it when it is in
#: (depth, m; sideways, m; yaw, rad). The last two are beyond the play: they exclude a block on top or outside.
SLOT_Y, SLOT_DEPTH, SLOT_SIDE, SLOT_YAW = (0.25, 0.1), 0.002, 0.001, 0.05


class BlockPushEnv(TabletopEnv):
    """Push the block into the target zone: its center within ``tolerance`` of the zone's. Any yaw will do."""

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        distance = _distance(self.simulation.blocks[0], self.simulation.targets[0])
        success = distance < self.tolerance
        return success, float(success), {"distance": distance}


class BlockReachEnv(TabletopEnv):
    """Bring the rod within ``tolerance`` of the point from which the block would be pushed.

    That is 5 cm behind the block's first place, on the line from the zone through it. As published, the zone is
    observed, and the point follows from it and the block.
    """

    scene: ClassVar[Scene] = Scene()

    def _begin(self) -> None:
        block, target = self.simulation.blocks[0, :2], self.simulation.targets[0, :2]
        away = (block - target) / np.linalg.norm(block - target)
        self._goal = block + PRE_PUSH_DISTANCE * away

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        distance = _distance(self.simulation.tool, self._goal)
        success = distance < self.tolerance
        return success, float(success), {"distance": distance}


class BlockPushDiscontinuousEnv(TabletopEnv):
    """Push the block into the first zone, then on into the second.

    Solved when the block has been within ``tolerance`` of the first zone's center and, later, is within it of the
    second's. (The published environment checks the first twice and the order never.) Whether the first has been
    visited is not observed, as published: it shows in where the block is, since the first zone lies between the
    block's start and the second, which makes the best action jump where the block arrives.
    """

    scene: ClassVar[Scene] = Scene(targets=(AMBER, BLUE))

    def _draw(self) -> tuple[Array, list[Array], list[Array]]:
        rod, blocks, _ = super()._draw()
        while True:
            targets = [self._draw_target() for _ in range(2)]
            if abs(targets[0][0] - targets[1][0]) > SEPARATION:
                break
        targets[0][1], targets[1][1] = FIRST_Y, SECOND_Y
        return rod, blocks, targets

    def _begin(self) -> None:
        self._visited = False

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        block = self.simulation.blocks[0]
        first, second = (_distance(block, target) for target in self.simulation.targets)
        arrived = first < self.tolerance and not self._visited
        self._visited |= arrived
        success = self._visited and second < self.tolerance
        info = {
            "first_visited": self._visited,
            "distance_first": first,
            "distance_second": second,
        }
        return success, 0.5 * arrived + 0.5 * success, info


class BlockPushMultimodalEnv(TabletopEnv):
    """Push each of two blocks into a zone of its own, in any order and pairing.

    A block is in a zone within ``tolerance`` of its center, by default 0.04 m as published. Reward: 0.49 for the first
    block and 0.51 for the second, as later work scores this task; ``info["num_placed"]`` counts blocks in zones of
    their own now.
    """

    scene: ClassVar[Scene] = Scene(num_blocks=2, targets=(BLUE, BLUE))

    def __init__(self, *, tolerance: float = 0.04, **kwargs: Any) -> None:
        """As every tabletop task, but for the tolerance."""
        super().__init__(tolerance=tolerance, **kwargs)

    def _draw(self) -> tuple[Array, list[Array], list[Array]]:
        blocks, targets = [], []
        for _ in range(2):
            rod, block, target = super()._draw()
            blocks += block
            targets += target
        while abs(blocks[0][0] - blocks[1][0]) <= BLOCK_SEPARATION:
            blocks[1][:2] = self._around(BLOCK_AREA)
        while abs(targets[0][0] - targets[1][0]) <= TARGET_SEPARATION:
            targets[0][:2], targets[1][:2] = self._around(TARGET_AREA), self._around(TARGET_AREA)
        return rod, blocks, targets

    def _begin(self) -> None:
        self._most = 0

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        blocks, targets = self.simulation.blocks, self.simulation.targets
        inside = np.array([[_distance(b, t) < self.tolerance for t in targets] for b in blocks])
        both = bool((inside[0, 0] and inside[1, 1]) or (inside[0, 1] and inside[1, 0]))
        placed = 2 if both else int(inside.any())
        reward = sum((0.49, 0.51)[self._most : placed])
        self._most = max(self._most, placed)
        return both, float(reward), {"num_placed": placed, "most_placed": self._most}


class BlockInsertEnv(TabletopEnv):
    """Push the block into a slot that is 0.8 mm wider, until it lies against the end.

    Solved when the block is within 2 mm of its seat along the slot, and inside. The slot's walls have round ends and
    little friction; ``target_translation`` is the seat, and a block enters in the direction of the target's yaw,
    which is within 30 degrees of +y. The published environment has neither demonstrations nor a definition of success.
    """

    scene: ClassVar[Scene] = Scene(slot=True)

    def __init__(self, **kwargs: Any) -> None:
        """As every tabletop task, without ``tolerance`` (above) and ``init_midway_prob``, which knows no walls.

        Raises:
            ValueError: one of them is given.
        """
        not_given(kwargs, "tolerance", "init_midway_prob")
        super().__init__(**kwargs)

    def _draw_target(self) -> Array:
        x = TARGET_AREA[0] + self.np_random.uniform(-1, 1) * 0.1
        y = SLOT_Y[0] + self.np_random.uniform(-1, 1) * SLOT_Y[1]
        # The slot's own x axis is the way in.
        return np.array([x, y, np.pi / 2 + self.np_random.uniform(-1, 1) * TARGET_TURN])

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        block, slot = self.simulation.blocks[0], self.simulation.targets[0]
        cos, sin = np.cos(slot[2]), np.sin(slot[2])
        depth, side = np.array([[cos, sin], [-sin, cos]]) @ (block[:2] - slot[:2])
        turn = abs(quarter_turn_error(block[2] - slot[2]))
        success = abs(depth) < SLOT_DEPTH and abs(side) < SLOT_SIDE and turn < SLOT_YAW
        return bool(success), float(success), {"depth": float(depth), "side": float(side)}


def _distance(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a[:2] - b[:2]))
