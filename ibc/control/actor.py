"""What acts in environments: a policy, or an expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ibc.errors import UserError
from ibc.spec import NumpyObs


@runtime_checkable
class Actor(Protocol):
    """Acts in several environments at once."""

    def reset(self, env_index: int, seed: int) -> None:
        """Begin an episode in environment number ``env_index``."""
        ...

    def act(self, env_indices: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """Action chunks (E, Ta, D) for windows ``{name: (E, To, *shape)}`` of these environments."""
        ...


class FunctionExpert:
    """An expert that is a plain function of one observation.

    Args:
        function: of ``{name: (*shape)}``, environment units; returns an action (D,).
    """

    def __init__(self, function: Callable[[NumpyObs], Any]) -> None:
        self.function = function

    def reset(self, env_index: int, seed: int) -> None:
        """See :class:`Actor`; a function has no state."""

    def act(self, env_indices: Sequence[int], obs: NumpyObs) -> NDArray[np.float32]:
        """See :class:`Actor`.

        Raises:
            UserError: the function does not return one action.
        """
        actions = []
        for row in range(len(env_indices)):
            action = np.asarray(
                self.function({name: array[row, -1] for name, array in obs.items()}), np.float32
            )
            if action.ndim != 1 or not np.isfinite(action).all():
                raise UserError(
                    f"the expert returned {action.tolist()}; it must return one action, a vector of finite numbers"
                )
            actions.append(action)
        return np.stack(actions)[:, None]
