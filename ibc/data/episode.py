"""One episode: what a rollout returns, a store holds, and metrics, windows and videos consume."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class InvalidEpisode(ValueError):
    """An episode whose parts do not fit together, or hold numbers that are not finite."""


class Frames(ABC):
    """Images (N, H, W, C) uint8 that are not in memory (``ibc.data.stored_frames``).

    Args:
        shape: (N, H, W, C).
        first: number of the first one where they are kept.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...], first: int = 0) -> None:
        self.shape = shape
        self._steps = range(first, first + shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes that they take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._steps)

    def __getitem__(self, key: Any) -> Any:
        """One frame, several, or for a slice pictures of the same kind, which stay where they are."""
        if not isinstance(key, slice):
            return self._read(key)
        part = copy.copy(self)
        part._steps = self._steps[key]
        part.shape = (len(part._steps), *self.shape[1:])
        return part

    @abstractmethod
    def _read(self, key: Any) -> NDArray[np.uint8]:
        """One frame (H, W, C), or several of them for an array of numbers."""

    @abstractmethod
    def __array__(self) -> NDArray[Any]:
        """All of them, in memory."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """One after another, which no kind of frames does slowly."""
        return (self[step] for step in range(len(self)))

    def read_into(self, step: int, out: NDArray[np.uint8]) -> None:
        """Put one frame (H, W, C) into ``out``."""
        out[...] = self[step]


#: Observations of an episode, ``{name: (T + 1, *shape)}``; pictures may still be in their file.
EpisodeObs = Mapping[str, NDArray[Any] | Frames]


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A checked episode of T steps in environment units.

    Attributes:
        obs: ``{name: (T + 1, *shape)}``, float32 vectors and uint8 images; entry t is seen before action t.
        action: (T, action_dim) float32.
        reward: (T,) float32.
        success: (T,) bool, whether the task is solved after step t.
        terminated, truncated: how the episode ended; both false if the recording just stops.
        seed: of the environment's reset, where known.
        report: what else the environment told at the end, by ``EnvConfig.report``; not stored with demonstrations.
        text: what is said of the episode, by name (an instruction, say); no policy sees it.

    Raises:
        InvalidEpisode: at construction, naming the field that is wrong.
    """

    obs: EpisodeObs
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    success: NDArray[np.bool_]
    terminated: bool
    truncated: bool
    seed: int | None = None
    report: Mapping[str, float] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = len(self.action)
        if steps == 0:
            raise InvalidEpisode("it has no steps")
        if not self.obs:
            raise InvalidEpisode("it has no observations")
        _check("action", self.action, ndim=2, length=steps)
        _check("reward", self.reward, ndim=1, length=steps)
        for name, array in self.obs.items():
            _check(f"observation '{name}'", array, ndim=None, length=steps + 1)
        if self.success.shape != (steps,) or self.success.dtype != np.bool_:
            raise InvalidEpisode(
                f"success is {self.success.dtype} {self.success.shape}, expected bool ({steps},)"
            )

    @classmethod
    def recorded(
        cls,
        obs: Mapping[str, ArrayLike],
        action: ArrayLike,
        *,
        success: bool = False,
        text: Mapping[str, str] | None = None,
    ) -> Episode:
        """An episode of a robot that was recorded, where an observation and an action belong to each of T moments.

        Args:
            obs: ``{name: (T, *shape)}``: uint8 pictures (H, W, C), and numbers. The last observation is also taken for
                the one after the last action.
            action: (T, action_dim), as it was commanded.
            success: whether the task is solved at the end.
            text: what is said of the episode, by name.

        Raises:
            InvalidEpisode: naming what does not fit.
        """
        arrays = {name: _plain(name, values) for name, values in obs.items()}
        commanded = np.asarray(action, np.float32)
        for name, array in arrays.items():
            if len(array) != len(commanded):
                raise InvalidEpisode(
                    f"observation '{name}' has {len(array)} entries, the action {len(commanded)}"
                )
        solved = np.zeros(len(commanded), np.bool_)
        solved[-1:] = success
        return cls(
            obs={name: np.concatenate([array, array[-1:]]) for name, array in arrays.items()},
            action=commanded,
            reward=solved.astype(np.float32),
            success=solved,
            terminated=False,
            truncated=True,
            text=text or {},
        )

    def __len__(self) -> int:
        """T, the number of actions."""
        return len(self.action)

    @property
    def episode_return(self) -> float:
        """Sum of rewards, undiscounted."""
        return float(self.reward.sum(dtype=np.float64))


def _plain(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        raise InvalidEpisode(
            f"observation '{name}' is {array.dtype} {array.shape}, expected numbers for each moment"
        )
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def check_count(what: str, found: int, announced: Any) -> None:
    """Raise InvalidEpisode if a number of entries is not the announced one."""
    if found != announced:
        raise InvalidEpisode(f"it has {found} {what}; {announced} announced")


def _check(what: str, array: NDArray[Any] | Frames, *, ndim: int | None, length: int) -> None:
    if array.dtype not in (np.float32, np.uint8):
        raise InvalidEpisode(f"{what} is {array.dtype}, expected float32 or uint8")
    if ndim is not None and array.ndim != ndim:
        raise InvalidEpisode(f"{what} has {array.ndim} dimensions, expected {ndim}")
    if len(array) != length:
        raise InvalidEpisode(f"{what} has {len(array)} entries, expected {length}")
    if isinstance(array, np.ndarray) and array.dtype == np.float32 and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise InvalidEpisode(f"{what} is not finite at step {bad[0]} ({len(bad)} steps in all)")
