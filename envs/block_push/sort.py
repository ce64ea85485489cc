"""The sorting task: eight blocks of two colors, two places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ibc_envs.arguments import not_given
from ibc_envs.block_push.env import Array, TabletopEnv
from ibc_envs.block_push.scene import AMBER, BLUE, Scene
from ibc_envs.block_push.sort_expert import BORDER, COLORS, is_in_place

#: The rim of the table (m, two corners), so near that the rod gets behind every block.
RIM = ((0.2, -0.5), (0.55, 0.5))
#: Where blocks start: center, and half the sides of the rectangle (m); how far apart they are at least.
START, START_SPREAD, SEPARATION = (0.375, 0.0), (0.11, 0.15), 0.075
#: Where the rod starts in episodes that begin with the work half done: two corners (m), and how far from blocks.
ROD_AREA, ROD_CLEAR = ((0.22, -0.45), (0.5, 0.45)), 0.05
#: Where blocks that are sorted already begin then, on the blue side: two corners (m).
DONE_AREA = ((0.25, 0.23), (0.5, 0.4))

#: A camera that sees the table and little else: pictures are three times as wide as high.
CAMERA = 'pos="1 0 0.75" xyaxes="0 1 0 -0.768 0 0.64" fovy="20"'

_RGBA = {1: "0.15 0.40 0.85 1", -1: "0.93 0.55 0.05 1"}


class BlockSortEnv(TabletopEnv):
    """Push four blue blocks into the blue place and four amber ones into the amber place (IBC paper, section 4).

    A place is a strip of the table, 22 cm from its middle to the rim, blue on the left and amber on the right; a block
    is sorted while its center is in the place of its color. ``info`` has ``sorted_fraction``, the share of sorted
    blocks, at every step; the episode is solved, and ends, when all are. The reward is what that share has grown by.

    Observation, a dictionary of vectors in m:

    - ``blocks`` (8, 7): for each block x and y, these less the set-point's, the cosine and sine of four times its yaw,
      and 1 for blue or -1 for amber; ``blocks_mask`` (8,) is 1 for all of them (:class:`ibc.nn.DeepSetsEncoder`);
    - ``effector_translation`` (2,), where the rod is, ``effector_target_translation`` (2,), its set-point;
    - with ``pixels``, ``rgb`` (H, W, 3), uint8, of a camera of its own, three times as wide as high.

    The paper sorts on hardware and publishes neither sizes nor a horizon. Here blocks start within a rectangle of 22 by
    30 cm in the middle, and an episode has 400 steps (40 s).
    """

    scene: ClassVar[Scene] = Scene(
        num_blocks=len(COLORS),
        block_colors=tuple(_RGBA[color] for color in COLORS),
        targets=(BLUE, AMBER),
        target_size=(RIM[1][0] - RIM[0][0], RIM[1][1] - BORDER),
        rim=RIM,
        camera=CAMERA,
    )

    def __init__(self, *, image_size: Sequence[int] = (60, 208), **kwargs: Any) -> None:
        """As every tabletop task, with pictures of another size, and without ``tolerance``: places have no centers.

        Raises:
            ValueError: a tolerance is given.
        """
        not_given(kwargs, "tolerance")
        super().__init__(image_size=image_size, **kwargs)

    def _nominal(self) -> tuple[Array, list[Array], list[Array]]:
        blocks = [np.array([0.3 + 0.08 * (i % 4), 0.1 * (i // 4), 0.0]) for i in range(len(COLORS))]
        return np.array([0.3, -0.4]), blocks, self._places()

    def _draw(self) -> tuple[Array, list[Array], list[Array]]:
        blocks: list[Array] = []
        while len(blocks) < len(COLORS):
            place = START + self.np_random.uniform(-1, 1, 2) * START_SPREAD
            if all(np.linalg.norm(place - other[:2]) > SEPARATION for other in blocks):
                blocks.append(np.append(place, self.np_random.uniform(-np.pi, np.pi)))
        return np.array([0.3, -0.4]), blocks, self._places()

    def _places(self) -> list[Array]:
        x, y = (RIM[0][0] + RIM[1][0]) / 2, (RIM[1][1] + BORDER) / 2
        return [np.array([x, y, 0.0]), np.array([x, -y, 0.0])]

    def _go_midway(self, blocks: list[Array], targets: list[Array]) -> Array:
        """Put some blocks into their places; returns where the rod (2,) is then."""
        for i, color in enumerate(COLORS):
            if self.np_random.random() < 0.5:
                others = [block[:2] for j, block in enumerate(blocks) if j != i]
                place = self.np_random.uniform(*DONE_AREA) * (1, color)
                while min(np.linalg.norm(place - other) for other in others) < SEPARATION:
                    place = self.np_random.uniform(*DONE_AREA) * (1, color)
                blocks[i][:2] = place
        rod = self.np_random.uniform(*ROD_AREA)
        while min(np.linalg.norm(rod - block[:2]) for block in blocks) < ROD_CLEAR:
            rod = self.np_random.uniform(*ROD_AREA)
        return np.array(rod)

    def _begin(self) -> None:
        self._last = self._sorted()

    def _sorted(self) -> float:
        blocks = self.simulation.blocks
        return float(np.mean([is_in_place(b[:2], c) for b, c in zip(blocks, COLORS, strict=True)]))

    def _judge(self) -> tuple[bool, float, dict[str, Any]]:
        share = self._sorted()
        reward, self._last = share - self._last, share
        return share == 1.0, reward, {"sorted_fraction": share}

    def _state(self) -> dict[str, Array]:
        sim = self.simulation
        poses = sim.blocks
        turn = 4 * poses[:, 2]
        features = [
            poses[:, :2],
            poses[:, :2] - sim.setpoint,
            np.stack([np.cos(turn), np.sin(turn), COLORS], 1),
        ]
        return {
            "blocks": np.concatenate(features, 1),
            "blocks_mask": np.ones(len(COLORS)),
            "effector_translation": sim.tool,
            "effector_target_translation": sim.setpoint,
        }
