"""The specification of a task: all that flows from data and environment to a model's construction."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ibc.errors import UserError

#: Numbers of all observations that are seen at once, and of an action chunk: a limit on what a file may ask for.
MAX_SIZE = 2**26
DTYPES = ("float32", "uint8")

#: Observations of a batch: ``{name: (B, To, *shape)}``, environment units, images as uint8 (H, W, C).
Obs = dict[str, Tensor]

#: The same for numpy, where environments live.
NumpyObs = dict[str, NDArray[Any]]


#: The observation in which a controller gives a policy the last action of its previous chunk, (B, 1, D).
PREVIOUS_ACTION = "previous_action"
#: Those in which an asynchronous one gives it the actions that will be executed whatever it decides, NaN where it is
#: free, and the plan so far from now on, NaN at first; (B, Ta, D) both.
COMMITTED_ACTIONS, PREVIOUS_CHUNK = "committed_actions", "previous_chunk"


@dataclass(frozen=True)
class Batch:
    """Training examples: ``obs {name: (B, To, *shape)}`` and flat action chunks (B, A), environment units."""

    obs: Obs
    action: Float[Tensor, "B A"]

    def split(self, count: int) -> list[Batch]:
        """Cut it into parts of nearly the same size."""
        obs = {name: array.chunk(count) for name, array in self.obs.items()}
        return [
            Batch({name: parts[i] for name, parts in obs.items()}, action)
            for i, action in enumerate(self.action.chunk(count))
        ]

    def rows(self, start: int, step: int) -> Batch:
        """Take every ``step``-th row from row ``start`` on."""
        obs = {name: array[start::step].contiguous() for name, array in self.obs.items()}
        return Batch(obs, self.action[start::step].contiguous())


@dataclass(frozen=True)
class ObsField:
    """Shape and type of one named observation at one time step."""

    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        whole = all(isinstance(length, int) and length >= 0 for length in self.shape)
        if not whole or self.dtype not in DTYPES:
            raise ValueError(
                f"an observation is {self.dtype} {self.shape}; allowed: {', '.join(DTYPES)} and whole lengths"
            )

    @property
    def is_image(self) -> bool:
        """Whether this is a uint8 picture (H, W, C)."""
        return self.dtype == "uint8" and len(self.shape) == 3


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a policy sees and does. Saved in every checkpoint, so that a policy is rebuilt without data or simulator.

    ``obs_horizon`` (To) observations are seen at once and ``action_horizon`` (Ta) actions are predicted at once.
    ``action_low`` and ``action_high`` are the environment's limits, of length ``action_dim``, in its units.
    """

    obs: Mapping[str, ObsField]
    obs_horizon: int
    action_dim: int
    action_horizon: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.obs_horizon < 1 or self.action_horizon < 1:
            raise UserError(
                f"horizons are at least 1, got obs {self.obs_horizon} and action {self.action_horizon}"
            )
        if not len(self.action_low) == len(self.action_high) == self.action_dim:
            raise ValueError(f"action limits must have {self.action_dim} entries each")
        for name in ("action_low", "action_high"):  # numbers of numpy cannot be saved
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        if not all(
            low <= high for low, high in zip(self.action_low, self.action_high, strict=True)
        ):
            raise ValueError("action limits are crossed, or not numbers")
        sizes = [math.prod(field.shape) for field in self.obs.values()]
        if max(self.obs_horizon * sum(sizes), self.action_size) > MAX_SIZE:
            raise UserError(
                f"{self.obs_horizon} observations of {sum(sizes)} numbers, {self.action_size} numbers of actions; "
                f"at most {MAX_SIZE} are possible"
            )

    @property
    def action_size(self) -> int:
        """A, the length of a flat action chunk: ``action_horizon * action_dim``."""
        return self.action_horizon * self.action_dim

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain containers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Spec:
        """The inverse of :meth:`to_dict`."""
        obs = {
            name: ObsField(shape=tuple(field["shape"]), dtype=field["dtype"])
            for name, field in plain["obs"].items()
        }
        limits = {key: tuple(float(x) for x in plain[key]) for key in ("action_low", "action_high")}
        return cls(
            obs=obs,
            obs_horizon=operator.index(plain["obs_horizon"]),
            action_dim=operator.index(plain["action_dim"]),
            action_horizon=operator.index(plain["action_horizon"]),
            action_low=limits["action_low"],
            action_high=limits["action_high"],
        )


def as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """The array in the one floating type that observations, actions and rewards are kept in."""
    with np.errstate(over="ignore"):  # what is too large is infinite, which readers name
        return np.ascontiguousarray(array, dtype=np.float32)
