"""Actions as they come from outside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Limit = float | Sequence[float] | Array


def finite(action: ArrayLike) -> Array:
    """Return an action as float64.

    Raises:
        ValueError: it is NaN or infinite, from which a simulator would not recover.
    """
    given = np.asarray(action, np.float64)
    if not np.isfinite(given).all():
        raise ValueError(f"the action is {given.tolist()}; its numbers must be finite")
    return given


def clipped(action: ArrayLike, low: Limit, high: Limit, shape: tuple[int, ...]) -> Array:
    """Return an action of the given shape, clipped to its limits.

    Raises:
        ValueError: it has another number of entries, or is not finite.
    """
    given = finite(action)
    if given.size != int(np.prod(shape)):
        raise ValueError(f"the action has {given.size} numbers; it must have {int(np.prod(shape))}")
    return np.clip(given.reshape(shape), low, high)
