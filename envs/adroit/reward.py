"""The dense reward of three Adroit tasks, with the sign that the benchmark was published with."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from ibc_envs.actions import finite
from numpy.typing import NDArray

#: Weight of the distance between palm and target in the dense reward (Rajeswaran et al. 2018, appendix).
WEIGHT = 0.1


class CorrectedReward(
    gym.Wrapper[NDArray[np.float64], NDArray[np.float32], Any, Any],
    gym.utils.RecordConstructorArgs,
):
    """Makes the reward fall with the palm's distance from what it must reach.

    Gymnasium-Robotics up to 1.4.2 adds ``0.1 * distance`` in door, hammer and relocate where the original subtracts it,
    so the hand is paid for staying away (corrected upstream after that release, pull request 220). The distance is read
    from the observation, which has it, or both positions, at a known place.
    """

    def __init__(
        self,
        env: gym.Env[NDArray[np.float64], NDArray[np.float32]],
        *,
        difference: int | None = None,
        palm: int | None = None,
        target: int | None = None,
    ) -> None:
        """Give where the vector from one to the other begins, or where both positions begin.

        Raises:
            ValueError: for the sparse reward, which has no such term, or if it is not clear where to look.
        """
        gym.utils.RecordConstructorArgs.__init__(
            self, difference=difference, palm=palm, target=target
        )
        gym.Wrapper.__init__(self, env)
        if getattr(env.unwrapped, "sparse_reward", False):
            raise ValueError(
                "the sparse reward needs no correction; use Gymnasium-Robotics' own id"
            )
        if (difference is None) == (palm is None or target is None):
            raise ValueError("give difference, or both palm and target")
        self._difference, self._palm, self._target = difference, palm, target

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], SupportsFloat, bool, bool, dict[str, Any]]:
        """As the wrapped environment, with ``-0.1`` instead of ``+0.1`` times the distance."""
        finite(action)
        obs, reward, terminated, truncated, info = self.env.step(action)
        return (
            obs,
            float(reward) - 2 * WEIGHT * self.distance(obs),
            terminated,
            truncated,
            info,
        )

    def distance(self, obs: NDArray[np.float64]) -> float:
        """Meters from the palm to what it must reach."""
        if self._difference is not None:
            return float(np.linalg.norm(obs[self._difference : self._difference + 3]))
        assert self._palm is not None
        assert self._target is not None
        palm = obs[self._palm : self._palm + 3]
        return float(np.linalg.norm(palm - obs[self._target : self._target + 3]))
