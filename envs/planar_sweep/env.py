"""The planar sweeping task."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from ibc_envs.actions import clipped
from ibc_envs.arguments import whole
from ibc_envs.planar_sweep.picture import draw
from ibc_envs.planar_sweep.simulation import Array, Simulation
from numpy.typing import NDArray

Obs = dict[str, NDArray[Any]]

#: Greatest change of the set-point in a control step: m, m, rad.
MAX_DELTA = (0.03, 0.03, 0.3)
#: Radius of the zone in the middle of the table (m): a hundred pieces fill 44 % of it.
ZONE_RADIUS = 0.09
#: Pieces start within this radius (m), and the stick at a distance from the middle at which it touches none.
SPAWN_RADIUS, STICK_START = 0.18, 0.215
#: Numbers of pieces that are drawn, both included; the greater one is the length of the observation.
FEWEST, MOST = 50, 100
#: Share of the pieces that have to be in the zone.
SUCCESS_FRACTION = 0.95
#: Seconds in which pieces drawn on top of one another come apart, before the episode begins.
_SETTLE = 0.5
_IMAGE, _FILM = 96, 480


class PlanarSweepEnv(gym.Env[Obs, NDArray[np.float32]]):
    """Sweep 50 to 100 small pieces into a green zone with a stick (IBC paper, section 4 and appendix).

    Action (3,): what is added to the stick's *set-point* (x, y, yaw), at most 0.03 m, 0.03 m and 0.3 rad, at 10 Hz. The
    set-point moves there along a straight line in 0.1 s, and the stick follows it with limited force.

    Observation, a dictionary, positions in m from the middle of the table:

    - ``stick_translation`` (2,), and ``stick_orientation`` (2,), the cosine and sine of *twice* the yaw: a stick looks
      the same after half a turn;
    - ``setpoint_translation`` (2,), ``setpoint_orientation`` (2,): where the stick has been sent, which differs when a
      wall or many pieces hold it back;
    - ``pieces`` (100, 2), zero for those that do not exist, and ``pieces_mask`` (100,), 1 for those that do. They are
      in no particular order, which stays the same for an episode;
    - with ``pixels``, ``rgb`` (96, 96, 3), uint8: table, zone, pieces and stick from above.

    ``info`` has, at every step: ``fraction_in``, the share of the pieces whose center is in the zone; ``all_in``; and
    ``success``: at least 95 % are in. The episode ends when all are in, or after 250 steps (25 s). The reward is what
    ``fraction_in`` has grown by, so the return is what the episode has won.

    The paper states the action, the picture's size, the number of pieces and that its measure is a success in per cent.
    Decided here, where it is silent:

    - The zone does not move, since the paper's state (203 numbers: stick and pieces) does not tell where it is. It is a
      disk of radius 9 cm in the middle of a table of 50 x 50 cm with walls; pieces come from all sides.
    - Pieces are disks of 12 mm, so that the state is complete: polygons have yaws, which the paper does not observe.
      They are uniform in a disk of 18 cm, a quarter of them in the zone, and overlaps are resolved first.
    - Velocities are not observed, as in the paper; things stop within 10 mm once nothing pushes them.
    - The stick, 14 cm long and 8 mm thick, cannot be lifted. It starts near the wall, along it, at any angle.
    - The horizon of 250 steps (in the registration) leaves about 100 more than the expert takes on average; 95 % allows
      for a few forgotten pieces.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        *,
        fewest: int = FEWEST,
        most: int = MOST,
        pixels: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """``fewest`` and ``most``: numbers of pieces, both included; ``pixels``: whether to observe ``rgb``.

        Raises:
            ValueError: an argument is not as above.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode}; allowed: rgb_array")
        whole(fewest=fewest, most=most)
        if not fewest <= most <= MOST:
            raise ValueError(
                f"fewest={fewest}, most={most}; allowed: 1 to {MOST}, fewest not above most"
            )
        self.fewest, self.most = fewest, most
        self.pixels = pixels
        self.render_mode = render_mode
        limit = np.array(MAX_DELTA, np.float32)
        self.action_space = gym.spaces.Box(-limit, limit, dtype=np.float32)
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        circle = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        spaces: dict[str, gym.spaces.Box] = {
            "stick_translation": plane,
            "stick_orientation": circle,
            "setpoint_translation": plane,
            "setpoint_orientation": circle,
            "pieces": gym.spaces.Box(-np.inf, np.inf, (MOST, 2), np.float32),
            "pieces_mask": gym.spaces.Box(0.0, 1.0, (MOST,), np.float32),
        }
        if pixels:
            spaces["rgb"] = gym.spaces.Box(0, 255, (_IMAGE, _IMAGE, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw how many pieces there are and where, and where the stick is."""
        super().reset(seed=seed)
        rng = self.np_random
        count = int(rng.integers(self.fewest, self.most + 1))
        # The square root makes the draw uniform in the disk.
        pieces = (
            SPAWN_RADIUS
            * np.sqrt(rng.random(count))[:, None]
            * _direction(2 * np.pi * rng.random(count))
        )
        angle = rng.uniform(-np.pi, np.pi)
        start = np.append(STICK_START * _direction(angle), angle + np.pi / 2)
        self.simulation = Simulation(start, pieces)
        self.simulation.settle(_SETTLE)
        self._fraction = self._measure()
        return self._obs(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Move the set-point by ``action`` (3,) and follow it for 0.1 s."""
        delta = clipped(action, -np.array(MAX_DELTA), MAX_DELTA, (3,))
        self.simulation.move(self.simulation.setpoint + delta)
        before, self._fraction = self._fraction, self._measure()
        info = self._info()
        return self._obs(), self._fraction - before, info["all_in"], False, info

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """A picture for films, (480, 480, 3)."""
        return draw(self.simulation.stick, self.simulation.pieces, ZONE_RADIUS, _FILM)

    def _measure(self) -> float:
        return float((np.linalg.norm(self.simulation.pieces, axis=-1) <= ZONE_RADIUS).mean())

    def _info(self) -> dict[str, Any]:
        return {
            "success": self._fraction >= SUCCESS_FRACTION,
            "fraction_in": self._fraction,
            "all_in": self._fraction == 1.0,
        }

    def _obs(self) -> Obs:
        sim = self.simulation
        count = len(sim.pieces)
        pieces, mask = np.zeros((MOST, 2), np.float32), np.zeros(MOST, np.float32)
        pieces[:count], mask[:count] = sim.pieces, 1.0
        obs: Obs = {"pieces": pieces, "pieces_mask": mask}
        for name, pose in (("stick", sim.stick), ("setpoint", sim.setpoint)):
            obs[f"{name}_translation"] = pose[:2].astype(np.float32)
            obs[f"{name}_orientation"] = _direction(2 * pose[2]).astype(np.float32)
        if self.pixels:
            obs["rgb"] = draw(sim.stick, sim.pieces, ZONE_RADIUS, _IMAGE)
        return obs


def _direction(angle: Array | float) -> Array:
    """Unit vectors (..., 2) of angles (...)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
