"""The Push-T task."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from ibc_envs.actions import clipped
from ibc_envs.push_t.picture import draw
from ibc_envs.push_t.simulation import CENTER_OF_MASS, CONTROL_HZ, SIDE, Simulation, rotated
from numpy.typing import NDArray

#: Coverage of the target at which an episode is solved.
SUCCESS_COVERAGE = 0.95
#: What ``obs`` may be.
OBS = ("state", "keypoints", "pixels")
_IMAGE, _FILM = 96, 480


class PushTEnv(gym.Env[Any, NDArray[np.float32]]):
    """Push a T-shaped block onto its target with a disk (Chi et al. 2023, section 5; first in Florence et al. 2021).

    Action (2,): where the disk is sent, in pixels of a table of 512 x 512, at 10 Hz.

    Observation, by ``obs``; positions in pixels:

    - ``state`` (5,): the agent's position, the block's position, and its angle in [0, 2 pi);
    - ``keypoints`` (18,): the agent's position and the eight corners of the block's two bars;
    - ``pixels``, a dictionary: ``image`` (96, 96, 3), uint8, and ``agent_position`` (2,).

    The reward of a step is the share of the target that is covered, divided by 0.95, at most 1. ``info`` has
    ``coverage``; ``success``: more than 95 % are covered, which ends it; and ``max_reward``, the largest reward
    of the episode so far, whose mean over episodes of 300 steps is the published measure.

    The initial poses for a seed are those of the package gym-pusht.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}

    def __init__(self, *, obs: str = "state", render_mode: str | None = None) -> None:
        """Make the environment.

        Raises:
            ValueError: ``obs`` or ``render_mode`` is not as above.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode}; allowed: rgb_array")
        if obs not in OBS:
            raise ValueError(f"obs={obs}; allowed: {', '.join(OBS)}")
        self.obs = obs
        self.render_mode = render_mode
        self.action_space = gym.spaces.Box(0.0, SIDE, (2,), np.float32)
        self.observation_space: gym.Space[Any] = {
            "state": gym.spaces.Box(-np.inf, np.inf, (5,), np.float32),
            "keypoints": gym.spaces.Box(-np.inf, np.inf, (18,), np.float32),
            "pixels": gym.spaces.Dict(
                {
                    "image": gym.spaces.Box(0, 255, (_IMAGE, _IMAGE, 3), np.uint8),
                    "agent_position": gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
                }
            ),
        }[obs]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Draw the agent's position and the block's pose, or take them from ``options["state"]`` (5,)."""
        super().reset(seed=seed)
        state = (options or {}).get("state")
        if state is None:
            rng = self.np_random
            limits = ((50, 450), (50, 450), (100, 400), (100, 400))
            state = [*(rng.integers(*limit) for limit in limits), rng.uniform(-np.pi, np.pi)]
            # The published task turns the block about its center of mass after it has been placed.
            center = np.array(CENTER_OF_MASS)
            state[2:4] = state[2:4] + center - rotated(center, state[4])
        state = np.asarray(state, np.float64)
        self.simulation = Simulation(state[:2], state[2:])
        self._max_reward = 0.0
        return self._observe(), self._info(self.simulation.coverage())

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Send the agent to ``action`` (2,) for 0.1 s."""
        self.simulation.move(clipped(action, 0.0, SIDE, (2,)))
        coverage = self.simulation.coverage()
        reward = min(coverage / SUCCESS_COVERAGE, 1.0)
        self._max_reward = max(self._max_reward, reward)
        info = self._info(coverage)
        return self._observe(), reward, info["success"], False, info

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """Draw a picture for films, (480, 480, 3)."""
        return draw(self.simulation, _FILM)

    def _info(self, coverage: float) -> dict[str, Any]:
        return {
            "success": coverage > SUCCESS_COVERAGE,
            "coverage": coverage,
            "max_reward": self._max_reward,
        }

    def _observe(self) -> Any:
        sim = self.simulation
        agent = sim.agent.astype(np.float32)
        if self.obs == "pixels":
            return {"image": draw(sim, _IMAGE), "agent_position": agent}
        block = sim.block if self.obs == "state" else sim.bars().reshape(-1)
        return np.concatenate([agent, block.astype(np.float32)])
