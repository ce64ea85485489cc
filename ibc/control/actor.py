"""The bridge from a policy to environments: numpy in, numpy out, one random stream an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.policies.base import Policy
from ibc.random import PerEpisodeRandom
from ibc.spec import NumpyObs


@runtime_checkable
class Actor(Protocol):
    """Whatever can act in several environments at once: a policy, a scripted expert."""

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment number ``slot``."""
        ...

    def act(self, env_indices: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """Action chunks (E, Ta, action_dim) for windows ``{name: (E, To, *shape)}`` of the given slots."""
        ...


class PolicyActor:
    """Runs a policy; every episode draws from its own generator, so its course depends on its seed alone.

    It adds the last action of each episode's previous decision to the observation, as ``previous_action``, NaN at
    first. Where a policy reports on its decisions, ``reports`` has, by seed, one ``{name: number}`` a decision.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy.eval()
        self.device = next(policy.parameters()).device
        self.reports: dict[int, list[dict[str, float]]] = {}
        self._generators: dict[int, torch.Generator] = {}
        self._seeds: dict[int, int] = {}
        self._previous: dict[int, NDArray[np.float32]] = {}

    def reset(self, env_index: int, seed: int) -> None:
        """See :class:`Actor`."""
        self._generators[env_index] = torch.Generator().manual_seed(seed)
        self._seeds[env_index] = seed
        self._previous[env_index] = np.full(self.policy.spec.action_dim, np.nan, dtype=np.float32)

    def act(self, env_indices: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """See :class:`Actor`."""
        rng = PerEpisodeRandom(
            [self._generators[env_index] for env_index in env_indices], self.device
        )
        previous = np.stack([self._previous[env_index] for env_index in env_indices])[:, None]
        batch = {
            name: torch.from_numpy(array).to(self.device)
            for name, array in {"previous_action": previous, **obs}.items()
        }
        action: NDArray[np.float32] = self.policy.act(batch, rng).cpu().numpy()
        report = {name: values.tolist() for name, values in self.policy.report().items()}
        for row, env_index in enumerate(env_indices):
            self._previous[env_index] = action[row, -1]
            if report:
                mine = {name: float(values[row]) for name, values in report.items()}
                self.reports.setdefault(self._seeds[env_index], []).append(mine)
        return action
