"""The bi-manual sweeping task."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from ibc_envs.actions import clipped
from ibc_envs.arguments import not_negative, whole
from ibc_envs.bimanual_sweep.places import in_bowls, lost
from ibc_envs.bimanual_sweep.scene import JOINTS, PIECE_RADIUS
from ibc_envs.bimanual_sweep.simulation import Simulation
from ibc_envs.studio import Cameras
from numpy.typing import NDArray

Array = NDArray[np.float64]
Obs = dict[str, NDArray[Any]]

#: Greatest change of a scoop's set-point in a control step: x, y, z (m), yaw, pitch, roll (rad).
MAX_DELTA = (0.03, 0.03, 0.03, 0.25, 0.25, 0.25)
#: Where the scoops begin, the left one; the right one mirrors it.
START = (-0.17, -0.03, 0.085)
#: Pieces begin in a square of this half side (m), whose middle is drawn from a rectangle around a point.
PILE, PILE_MIDDLE, PILE_SPREAD = 0.09, (0.0, -0.02), (0.03, 0.03)
#: Middles of pieces are at least this far apart at first (m).
APART = 2.1 * PIECE_RADIUS
#: Share of the pieces that have to be in the bowls, and evenness that they have to reach, for success.
SUCCESS_FRACTION, SUCCESS_EVENNESS = 0.9, 0.6
#: How much of a disturbance remains a control step later.
DISTURBANCE_MEMORY = 0.8
_IMAGE = (96, 96)


class BimanualSweepEnv(gym.Env[Obs, NDArray[np.float32]]):
    """Scoop pieces from a tray with two spatulas, and fill two bowls evenly (IBC paper, section 4 and appendix).

    Action (12,), at 10 Hz: what is added to the *set-points* of the left and of the right scoop, each x, y, z (at most
    0.03 m) and yaw, pitch, roll (at most 0.25 rad). A set-point moves there along a straight line in 0.1 s, and the
    scoop follows it with limited force. x points to the right, y away from the viewer, z up; the table's top is z = 0.

    Observation, a dictionary, from the middle of the table:

    - ``left_pose``, ``right_pose`` (6,): x, y, z (m) of the middle of a scoop's lip, and its yaw, pitch, roll (rad)
      about its own axes: zero when level and facing the other, pitch positive when the lip is down;
    - ``pieces`` (20, 3), m, in no particular order, which stays the same for an episode, and ``pieces_mask`` (20,), 0
      for those that are lost, whose place is then zero;
    - with ``pixels``, ``rgb`` (96, 96, 3), uint8: table, bowls, pieces and scoops from above, a little from the front.

    ``info`` has, at every step: ``fraction_in``, the share of the pieces in the bowls; ``evenness``, twice the share of
    the emptier bowl in what is in bowls, 1 if both have as many, 0 if one has all or nothing is in;
    and ``success``: at least 90 % are in, with an evenness of at least 0.6. The episode ends when every piece is in a
    bowl or lost, or after 700 steps (70 s). The reward is what ``fraction_in`` has grown by.

    The paper states two arms with spatulas, a work space of 0.4 m^2, two bowls to be filled equally, the action, the
    picture with 12 pose numbers, 700 steps, and that its measure is the mean share of pieces in the bowls. Decided
    here, where it is silent:

    - Arms are what holds the spatulas: three slides and three hinges each, with the stiffness, the damping and the
      limited force of an arm that is well controlled, and without its elbows. They cannot pass through each other.
    - A spatula is a scoop, 8.5 by 13 cm, with a wedge for a lip and low walls: pieces climb it when pressed from the
      other side, which takes the other scoop.
    - Pieces are 20 spheres of 18 mm and 5 g that roll with resistance, so that the state is complete: their turn
      cannot be seen. They are uniform in a square of 18 cm, whose middle is uniform in one of 6 cm.
    - The tray (64 x 34 cm) has walls of 2 cm, over which pieces do not roll. The bowls, 19 cm at the rim, stand behind
      it, one on each side; a piece that falls between them is lost.
    - Poses are measured; a set-point is never farther from them than 2 cm and 0.15 rad, so that an arm that is held
      back does not wind up, and what is observed is all there is. Set-points are held above the table and below 20 cm.
    - Velocities are not observed, as in the paper; pieces come to rest within 3 cm.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        *,
        num_pieces: int = 20,
        disturbance: float = 0.0,
        pixels: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """A tray with pieces, two scoops, two bowls.

        Args:
            num_pieces: how many, at most 20.
            disturbance: what shakes the scoops, as a share of the greatest delta (standard deviation), while
                demonstrations are collected: the demonstrator's answers to it are what a policy needs to see (Laskey
                et al. 2017, DART). It is added to the action that is carried out, not to the one that is recorded.
            pixels: whether to observe ``rgb``.
            render_mode: None or ``rgb_array``.

        Raises:
            ValueError: an argument is not as above.
            RuntimeError: pixels are wanted, and nothing here can render.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode}; allowed: rgb_array")
        whole(num_pieces=num_pieces)
        if num_pieces > 20:
            raise ValueError(f"num_pieces={num_pieces}; allowed: 1 to 20")
        not_negative(disturbance=disturbance)
        self.disturbance = disturbance
        self.render_mode = render_mode
        self.simulation = Simulation(num_pieces)
        self._cameras = Cameras(
            self.simulation.model, self.simulation.data, _IMAGE if pixels else None
        )
        self._limit = np.array([MAX_DELTA, MAX_DELTA])
        limit = self._limit.ravel().astype(np.float32)
        self.action_space = gym.spaces.Box(-limit, limit, dtype=np.float32)
        pose = gym.spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float32)
        spaces: dict[str, gym.spaces.Box] = {
            "left_pose": pose,
            "right_pose": pose,
            "pieces": gym.spaces.Box(-np.inf, np.inf, (num_pieces, 3), np.float32),
            "pieces_mask": gym.spaces.Box(0.0, 1.0, (num_pieces,), np.float32),
        }
        if pixels:
            spaces["rgb"] = gym.spaces.Box(0, 255, (*_IMAGE, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw where the pieces are; the scoops are at their start."""
        super().reset(seed=seed)
        start = np.zeros((2, len(JOINTS)))
        start[:, :3] = START
        start[1, 0] *= -1
        self._shake = np.zeros_like(start)
        self.simulation.reset(start, self._draw())
        self._fraction = self._judge()["fraction_in"]
        return self._obs(), self._judge()

    def _draw(self) -> Array:
        """Places (N, 2) of pieces that do not overlap, one after another."""
        rng = self.np_random
        middle = PILE_MIDDLE + rng.uniform(-1, 1, 2) * PILE_SPREAD
        places = np.empty((0, 2))
        while len(places) < self.simulation.count:
            place = middle + rng.uniform(-PILE, PILE, 2)
            if (np.linalg.norm(places - place, axis=-1) > APART).all():
                places = np.append(places, place[None], 0)
        return places

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Change the set-points by ``action`` (12,) and follow them for 0.1 s."""
        delta = clipped(action, -self._limit, self._limit, self._limit.shape)
        if self.disturbance > 0:
            fresh = self.np_random.normal(0.0, self.disturbance, delta.shape)
            self._shake *= DISTURBANCE_MEMORY
            self._shake += np.sqrt(1 - DISTURBANCE_MEMORY**2) * fresh
            delta = delta + self._shake * self._limit
        self.simulation.move(self.simulation.setpoint + delta)
        info = self._judge()
        before, self._fraction = self._fraction, info["fraction_in"]
        pieces = self.simulation.pieces
        over = bool((in_bowls(pieces).any(0) | lost(pieces)).all())
        return self._obs(), self._fraction - before, over, False, info

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """A picture for films, (480, 640, 3)."""
        return self._cameras.film()

    def close(self) -> None:
        """Release the renderers."""
        self._cameras.close()

    def _judge(self) -> dict[str, Any]:
        inside = in_bowls(self.simulation.pieces).sum(1)
        total = int(inside.sum())
        fraction = total / self.simulation.count
        evenness = 2 * int(inside.min()) / total if total else 0.0
        return {
            "success": fraction >= SUCCESS_FRACTION and evenness >= SUCCESS_EVENNESS,
            "fraction_in": fraction,
            "evenness": evenness,
        }

    def _obs(self) -> Obs:
        poses, pieces = self.simulation.poses, self.simulation.pieces
        there = ~lost(pieces)
        obs: Obs = {
            "left_pose": poses[0].astype(np.float32),
            "right_pose": poses[1].astype(np.float32),
            "pieces": (pieces * there[:, None]).astype(np.float32),
            "pieces_mask": there.astype(np.float32),
        }
        return obs | self._cameras.observe()
