"""LeRobot data sets, versions 2 and 3: Parquet for numbers, MP4 for cameras, ``meta/info.json`` for both.

Version 2 keeps an episode a file; version 3 packs episodes into larger files and says in ``meta/episodes`` where each
lies (``lerobot/datasets`` of huggingface/lerobot).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ibc.data.arrow import column, numbers, read_table
from ibc.data.episode import Episode, InvalidEpisode, check_count
from ibc.data.frames import decode_image, video_frames
from ibc.errors import UserError
from ibc.spec import NumpyObs, as_float32

PREFIX = "observation."


def can_read(path: Path) -> bool:
    """A folder with ``meta/info.json``."""
    return (path / "meta" / "info.json").is_file()


def read(path: Path) -> Iterator[Episode]:
    """Every episode, by number; where rewards or successes are not recorded they are zero and false.

    Observations lose their prefix: ``observation.state`` is called ``state``, ``observation.images.top``
    ``images/top``. The layout has T of them; the one after the last action is a copy of the last.

    Raises:
        UserError: the data set is of another version, or a file it announces is missing.
    """
    info = json.loads((path / "meta" / "info.json").read_text())
    version = str(info["codebase_version"])
    if not version.startswith(("v2", "v3")):
        raise UserError(f"{path} is of LeRobot's version {version}; versions 2 and 3 are read")
    rows = _places_v3(path) if version.startswith("v3") else _places_v2(info)
    opened: tuple[Path, Any] | None = None
    for number in range(int(info["total_episodes"])):
        place = rows[number]
        file = path / info["data_path"].format(**place["data"])
        if opened is None or opened[0] != file:
            opened = file, read_table(file)
        inside = numbers(column(opened[1], "episode_index"), "episode_index") == number
        where = np.flatnonzero(inside)
        if len(where) == 0 or len(where) != where[-1] - where[0] + 1:
            raise InvalidEpisode(f"{file.name} does not hold it in one piece")
        check_count("steps", len(where), place.get("length", len(where)))
        table = opened[1].slice(int(where[0]), len(where))
        yield _episode(_Source(path, info, place), table)


def _places_v2(info: dict[str, Any]) -> list[dict[str, Any]]:
    size, count = int(info["chunks_size"]), int(info["total_episodes"])
    return [{"data": {"episode_chunk": n // size, "episode_index": n}} for n in range(count)]


def _places_v3(path: Path) -> list[dict[str, Any]]:
    """Where each episode lies, from ``meta/episodes``."""
    places: dict[int, dict[str, Any]] = {}
    for file in sorted((path / "meta" / "episodes").glob("*/*.parquet")):
        for row in read_table(file).to_pylist():
            place = {"data": {key: row[f"data/{key}"] for key in ("chunk_index", "file_index")}}
            places[row["episode_index"]] = {**place, "length": row["length"], "row": row}
    return [places[number] for number in range(len(places))]


class _Source(NamedTuple):
    """The data set, and where in it an episode lies."""

    path: Path
    info: dict[str, Any]
    place: dict[str, Any]


def _episode(source: _Source, table: Any) -> Episode:
    steps = len(table)
    frame = numbers(column(table, "frame_index"), "frame_index")
    if not np.array_equal(frame, np.arange(steps)):
        raise InvalidEpisode("its frames are not numbered from 0 on")
    obs: NumpyObs = {}
    for name in source.info["features"]:
        if name.startswith(PREFIX):
            array = _observation(source, table, name)
            if len(array) != steps:
                raise InvalidEpisode(f"'{name}' has {len(array)} entries, expected {steps}")
            short = name.removeprefix(PREFIX).replace(".", "/")
            obs[short] = np.concatenate([array, array[-1:]])
    done = _optional(table, "next.done", steps)
    return Episode(
        obs=obs,
        action=as_float32(numbers(column(table, "action"), "action")),
        reward=as_float32(_optional(table, "next.reward", steps)),
        success=_optional(table, "next.success", steps).astype(np.bool_),
        terminated=bool(done[-1]),
        truncated=not bool(done[-1]),
    )


def _optional(table: Any, name: str, steps: int) -> NDArray[Any]:
    if name not in table.column_names:
        return np.zeros(steps)
    return numbers(column(table, name), name).reshape(-1)


def _observation(source: _Source, table: Any, name: str) -> NDArray[Any]:
    """One observation over an episode (T, *shape); cameras as uint8 (T, H, W, C)."""
    feature = source.info["features"][name]
    if feature["dtype"] == "video":
        return _video(source, len(table), name)
    array = column(table, name)
    if feature["dtype"] == "image":
        return np.stack([decode_image(entry["bytes"]) for entry in array.to_pylist()])
    values = numbers(array, name)
    expected = tuple(feature["shape"])
    if values.shape[1:] != expected and (values.ndim, expected) != (1, (1,)):
        raise InvalidEpisode(f"'{name}' has shape {values.shape[1:]}; {expected} announced")
    return as_float32(values.reshape(len(values), *expected))


def _video(source: _Source, steps: int, name: str) -> NDArray[np.uint8]:
    path, info, place = source
    where, start = place["data"], 0.0
    if row := place.get("row"):
        where = {key: row[f"videos/{name}/{key}"] for key in ("chunk_index", "file_index")}
        start = float(row[f"videos/{name}/from_timestamp"])
    file = path / info["video_path"].format(video_key=name, **where)
    return video_frames(file, first=round(start * float(info["fps"])), count=steps)
