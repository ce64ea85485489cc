"""Replay buffers: arrays in which all episodes lie end to end, with the numbers of the rows at which they end."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames, InvalidEpisode
from ibc.data.pictures import is_picture
from ibc.data.request import Request
from ibc.data.streamed_frames import Forward, StreamedFrames, with_last_again
from ibc.errors import UserError
from ibc.spec import as_float32

#: Usual names of the parts of an episode.
ACTION, REWARD, SUCCESS = ("action", "actions"), ("reward", "rewards"), ("success",)
#: Actions from which on an array of about as many rows is taken for an observation: fewer are as many as a table has.
FEWEST = 16
#: Kinds of arrays that observations may be; of Python objects as well, so that it is said why they are not loaded.
NUMBERS = "fiubO"
TERMINATED = ("terminated", "terminals", "done", "dones")
TRUNCATED = ("truncated", "timeouts")
#: Beginning of names of what is seen after a step: no policy has it when it acts.
NEXT = "next_"


class ReplayArray(ABC):
    """An array that is not in memory, with one row a step."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def load(self, *, filled: bool = False) -> NDArray[Any]:
        """All of it, in memory; parts that are not stored may be zeros where it is to be ``filled``."""

    @abstractmethod
    def rows(self) -> Iterator[NDArray[Any]]:
        """Its rows in order, of which a few are in memory at once."""


def read_replay(
    path: Path,
    arrays: Mapping[str, ReplayArray],
    ends: NDArray[Any] | None,
    request: Request,
) -> Iterator[Episode]:
    """The episodes of a buffer. What is not asked for is not read; a reward that is not there is zero.

    Text with an entry a step, or an episode, is the text of that episode; all other text is that of every episode.

    Args:
        path: of the data set, for messages.
        arrays: by their names.
        ends: number of the row after each episode; None for one episode, whose observations may have a row more.
        request: what is wanted.

    Raises:
        UserError: there are no actions, or an observation that is asked for is not there.
        InvalidEpisode: numbers of rows or ends do not fit.
    """
    numeric = {n: a for n, a in arrays.items() if a.dtype.kind in NUMBERS and a.shape}
    action_name = request.part("action", ACTION, numeric)
    if action_name is None:
        raise UserError(
            f"{path} has no array 'action', but {', '.join(arrays) or 'none'}; "
            "say which it is by data.rename={NAME: action}"
        )
    total = numeric[action_name].shape[0]
    if total == 0:
        raise InvalidEpisode("it has no steps")
    bounds = _bounds(ends, total)
    parts = _marks(arrays, request)
    used = {action_name, *parts.values()}
    lengths = (total, total + 1) if ends is None else (total,)
    fields = {n: n for n, a in numeric.items() if n not in used and a.shape[0] in lengths}
    if request.obs_names is None:
        fields = {name: inside for name, inside in fields.items() if not name.startswith(NEXT)}
    _refuse_cut(numeric, lengths, request)
    wanted = request.observations(fields, [n for n in numeric if n not in fields])
    action = as_float32(numeric[action_name].load()).reshape(total, -1)
    columns = {name: _column(arrays, inside, bounds) for name, inside in parts.items()}
    _refuse_ends_within(columns, bounds)
    sources = {n: _source(path, key, numeric[key], lengths) for n, key in wanted.items()}
    texts = {n: a.load(filled=True) for n, a in arrays.items() if a.dtype.kind in "UST"}
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        rows = {total: slice(start, stop), len(bounds) - 1: slice(number, number + 1)}
        yield Episode(
            obs={name: source(start, stop) for name, source in sources.items()},
            action=action[start:stop],
            reward=as_float32(columns["reward"][start:stop]),
            success=columns["success"][start:stop].astype(np.bool_),
            terminated=bool(columns["terminated"][stop - 1]),
            truncated=bool(columns["truncated"][stop - 1]),
            text={
                n: _text(array[rows[len(array)]] if array.ndim and len(array) in rows else array)
                for n, array in texts.items()
            },
        )


def _marks(arrays: Mapping[str, ReplayArray], request: Request) -> dict[str, str | None]:
    """Which arrays are rewards, successes and ends, where there are such."""
    usual = {"reward": REWARD, "success": SUCCESS, "terminated": TERMINATED, "truncated": TRUNCATED}
    there = [n for n, a in arrays.items() if a.dtype.kind in NUMBERS and a.dtype.kind != "O"]
    return {part: request.part(part, names, there) for part, names in usual.items()}


def _refuse_ends_within(columns: Mapping[str, NDArray[Any]], bounds: Sequence[int]) -> None:
    """Refuse episodes with an end before their last row: windows would show two of them as one.

    Raises:
        InvalidEpisode: naming the row, and what says where episodes end.
    """
    last = np.array(bounds[1:]) - 1
    for name in ("terminated", "truncated"):
        rows = np.setdiff1d(np.flatnonzero(columns[name]), last)
        if rows.size:
            raise InvalidEpisode(
                f"it is {name} at row {rows[0]}, within an episode; episode_ends says where episodes end"
            )


def _refuse_cut(
    arrays: Mapping[str, ReplayArray], lengths: Sequence[int], request: Request
) -> None:
    """Refuse observations of which some rows are missing; arrays of quite another length are no observations.

    Raises:
        InvalidEpisode: naming one, and how to leave it out.
    """
    if lengths[0] < FEWEST or request.obs_names is not None:
        return
    for name, array in arrays.items():
        rows = array.shape[0]
        is_about_as_long = rows not in lengths and lengths[0] < 2 * rows < 4 * lengths[0]
        if is_about_as_long and name not in request.rename:
            raise InvalidEpisode(
                f"'{name}' has {rows} rows, and there are {lengths[0]} actions; "
                "if it is no observation, say which are by data.obs_names"
            )


def _bounds(ends: NDArray[Any] | None, total: int) -> list[int]:
    if ends is None:
        return [0, total]
    bounds = [0, *ends.reshape(-1).tolist()]
    whole = all(isinstance(end, int) for end in bounds)
    if not whole or any(b <= a for a, b in itertools.pairwise(bounds)) or bounds[-1] != total:
        raise InvalidEpisode(
            f"its ends of episodes are no whole numbers that rise to the number of actions, {total}"
        )
    return bounds


def _text(array: NDArray[Any]) -> str:
    """The different entries of an array of text, in order."""
    entries = array.reshape(-1).tolist()
    words = (e.decode("utf-8", "replace") if isinstance(e, bytes) else str(e) for e in entries)
    return "; ".join(dict.fromkeys(words))


def _column(
    arrays: Mapping[str, ReplayArray], name: str | None, bounds: Sequence[int]
) -> NDArray[Any]:
    """One number a step; zeros where there is no such array. Of one episode it may be what it is at the end."""
    if name is None:
        return np.zeros(bounds[-1])
    column = arrays[name].load(filled=True)
    if not column.shape and len(bounds) == 2 and name not in REWARD:
        column = np.append(np.zeros(bounds[-1] - 1), column)
    if column.size != bounds[-1]:
        raise InvalidEpisode(
            f"'{name}' has {column.size} numbers, expected one a step, {bounds[-1]}"
        )
    return column.reshape(-1)


def _source(
    path: Path, name: str, array: ReplayArray, lengths: Sequence[int]
) -> Callable[[int, int], NDArray[Any] | Frames]:
    """Gives an observation of the steps from one row to another, and the one after the last of them.

    Raises:
        InvalidEpisode: it has none of the ``lengths`` that fit the actions, and its rows would be of other moments.
    """
    if array.shape[0] not in lengths:
        raise InvalidEpisode(
            f"'{name}' has {array.shape[0]} rows, and there are {lengths[0]} actions"
        )
    if is_picture(name, array.shape[1:], array.dtype):
        forward = Forward(array.rows)

        def pictures(start: int, stop: int) -> Frames:
            has_next = array.shape[0] == stop + 1 and start == 0
            count = stop - start

            def read() -> Iterable[NDArray[Any]]:
                rows = forward.read(start, count + has_next)
                return rows if has_next else with_last_again(rows)

            return StreamedFrames(path, (count + 1, *array.shape[1:]), read)

        return pictures
    values = as_float32(array.load())

    def vectors(start: int, stop: int) -> NDArray[Any]:
        after = stop if len(values) == stop + 1 and start == 0 else stop - 1
        return np.concatenate([values[start:stop], values[after : after + 1]])

    return vectors
