"""A policy as an actor: numpy in, numpy out, one random stream for each episode."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.policies import Policy
from ibc.random import PerEpisodeRandom
from ibc.spec import NumpyObs

#: Episodes whose reports are kept, and decisions of each: a robot may act for weeks.
MOST_EPISODES, MOST_DECISIONS = 10_000, 100_000


class PolicyActor:
    """Runs a policy. An episode draws from its own generator, so its course depends on its seed alone.

    Attributes:
        reports: by seed, what the policy reported of each decision, ``{name: number}``; of the latest ``MOST_EPISODES``
            episodes, and the latest ``MOST_DECISIONS`` decisions of each.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy.eval()
        self.device = next((p.device for p in policy.parameters()), torch.device("cpu"))
        self.reports: dict[int, deque[dict[str, float]]] = {}
        self._generators: dict[int, torch.Generator] = {}
        self._seeds: dict[int, int] = {}

    def reset(self, env_index: int, seed: int) -> None:
        """See :class:`ibc.control.Actor`."""
        self._generators[env_index] = torch.Generator().manual_seed(seed)
        self._seeds[env_index] = seed
        self.reports.pop(seed, None)

    def act(self, env_indices: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """See :class:`ibc.control.Actor`."""
        rng = PerEpisodeRandom([self._generators[i] for i in env_indices], self.device)
        batch = {name: torch.from_numpy(array).to(self.device) for name, array in obs.items()}
        action: NDArray[np.float32] = self.policy.act(batch, rng).cpu().numpy()
        return action

    def record(self, env_indices: Sequence[int]) -> None:
        """Keep what the policy reports of its latest decisions, those of these environments."""
        report = {name: values.tolist() for name, values in self.policy.report().items()}
        if report:
            for row, index in enumerate(env_indices):
                mine = {name: float(values[row]) for name, values in report.items()}
                seed = self._seeds[index]
                self.reports.setdefault(seed, deque(maxlen=MOST_DECISIONS)).append(mine)
        while len(self.reports) > MOST_EPISODES:
            del self.reports[next(iter(self.reports))]
