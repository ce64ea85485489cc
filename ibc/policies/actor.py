"""The bridge from a policy to environments: numpy in, numpy out, one random stream an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.noise import RowNoise
from ibc.policies.base import Policy
from ibc.types import NumpyObs


@runtime_checkable
class Actor(Protocol):
    """Whatever can act in several environments at once: a policy, a scripted expert."""

    def reset(self, slot: int, seed: int) -> None:
        """A new episode begins in environment number ``slot``."""
        ...

    def act(self, slots: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """Action chunks (E, Ta, action_dim) for windows ``{name: (E, To, *shape)}`` of the given slots."""
        ...


class PolicyActor:
    """Runs a policy; every episode draws from its own generator, so its course depends on its seed alone."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy.eval()
        self.device = next(policy.parameters()).device
        self._generators: dict[int, torch.Generator] = {}

    def reset(self, slot: int, seed: int) -> None:
        """See :class:`Actor`."""
        self._generators[slot] = torch.Generator().manual_seed(seed)

    def act(self, slots: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """See :class:`Actor`."""
        noise = RowNoise([self._generators[slot] for slot in slots], self.device)
        batch = {name: torch.from_numpy(array).to(self.device) for name, array in obs.items()}
        action: NDArray[np.float32] = self.policy.act(batch, noise).cpu().numpy()
        return action
