"""What ``meta/`` of a LeRobot data set says: names, places of episodes, tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibc.data.arrow import read_table
from ibc.data.request import Request
from ibc.errors import UserError
from ibc.files import read_json_object

PREFIX = "observation."
#: Columns that count and mark; they are no observations.
BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index", "next.done")
#: Usual names of the parts of an episode.
USUAL = {
    "action": ("action", "actions"),
    "reward": ("next.reward", "reward"),
    "success": ("next.success", "success"),
}


@dataclass(frozen=True)
class Place:
    """Where an episode lies: values for the pattern of data files, its length and further columns, where known."""

    data: Mapping[str, int]
    length: int | None = None
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A data set's names and places.

    Attributes:
        obs: the observations to read, ``{wanted name: feature}``.
        action, reward, success: columns; the latter two may be missing.
        texts: features that hold text.
        features: all of them, as described.
        places: of episodes, by number.
        tasks: their names, by number.
        path: of the data set.
        data_path, video_path: patterns of files.
        fps: pictures a second.
    """

    obs: Mapping[str, str]
    action: str
    reward: str
    success: str
    texts: Sequence[str]
    features: Mapping[str, Any]
    places: Sequence[Place]
    tasks: Mapping[int, str]
    path: Path
    data_path: str
    video_path: str
    fps: float

    def file(self, pattern: str, **values: Any) -> Path:
        """A file of the data set, by the pattern of its name.

        Raises:
            UserError: there is no pattern, or it leads out of the data set.
        """
        name = Path(pattern.format(**values))
        if not name.parts or name.is_absolute() or ".." in name.parts:
            info = self.path / "meta" / "info.json"
            raise UserError(f"{info}: '{name}' is no file inside of the data set")
        return self.path / name

    @property
    def columns(self) -> list[str]:
        """All columns of data files that are read."""
        parts = [self.action, self.reward, self.success, *self.texts]
        cameras = {n for n in self.obs.values() if self.features[n]["dtype"] == "video"}
        return [*BOOKKEEPING, *(n for n in (*parts, *self.obs.values()) if n not in cameras)]

    def video(self, number: int, name: str) -> tuple[Mapping[str, int], float]:
        """Values for the pattern of a camera's files, and the second of the file at which the episode begins."""
        place = self.places[number]
        if place.row is None:
            return place.data, 0.0
        where = {key: place.row[f"videos/{name}/{key}"] for key in ("chunk_index", "file_index")}
        return where, float(place.row[f"videos/{name}/from_timestamp"])

    def is_last_of_video(self, number: int, name: str) -> bool:
        """Whether the next episode is in another file of this camera."""
        is_last = number + 1 == len(self.places)
        return is_last or self.video(number + 1, name)[0] != self.video(number, name)[0]


def read_layout(path: Path, request: Request) -> Layout:
    """What is known before a file of data is opened.

    Raises:
        UserError: the data set is of another version, has no actions, or lacks an observation that is asked for.
    """
    info = read_json_object(path / "meta" / "info.json")
    version = str(info["codebase_version"])
    if not version.startswith(("v2", "v3")):
        raise UserError(f"{path} is of LeRobot's version {version}; versions 2 and 3 are read")
    features = {n: f for n, f in info["features"].items() if n not in BOOKKEEPING}
    texts = [name for name, feature in features.items() if feature["dtype"] == "string"]
    there = [name for name in features if name not in texts]
    parts = {name: request.part(name, usual, there) for name, usual in USUAL.items()}
    if parts["action"] is None:
        raise UserError(
            f"{path} has no {' or '.join(USUAL['action'])}, but {', '.join(there)}; "
            "say which it is by data.rename={NAME: action}"
        )
    rest = [name for name in there if name not in parts.values()]
    observed = [n for n in rest if n.startswith(PREFIX)] or rest
    fields = {name.removeprefix(PREFIX).replace(".", "/"): name for name in observed}
    three = version.startswith("v3")
    return Layout(
        obs=request.observations(fields, [name for name in there if name not in observed]),
        action=parts["action"],
        reward=parts["reward"] or USUAL["reward"][0],
        success=parts["success"] or USUAL["success"][0],
        texts=texts,
        features=features,
        places=_places_v3(path, info) if three else _places_v2(info),
        tasks=_tasks(path),
        path=path,
        data_path=str(info["data_path"]),
        video_path=str(info.get("video_path") or ""),
        fps=float(info["fps"]),
    )


def _places_v2(info: Mapping[str, Any]) -> list[Place]:
    size, count = int(info["chunks_size"]), int(info["total_episodes"])
    return [Place({"episode_chunk": n // size, "episode_index": n}) for n in range(count)]


def _places_v3(path: Path, info: Mapping[str, Any]) -> list[Place]:
    places: dict[int, Place] = {}
    for file in sorted((path / "meta" / "episodes").glob("*/*.parquet")):
        for row in read_table(file).to_pylist():
            where = {key: row[f"data/{key}"] for key in ("chunk_index", "file_index")}
            places[row["episode_index"]] = Place(where, int(row["length"]), row)
    count = int(info["total_episodes"])
    if missing := [number for number in range(count) if number not in places]:
        raise UserError(f"{path / 'meta' / 'episodes'} does not say where episode {missing[0]} is")
    return [places[number] for number in range(count)]


def _tasks(path: Path) -> dict[int, str]:
    """Instructions by number: lines of JSON in version 2, a table whose index is the text in version 3."""
    lines, table = path / "meta" / "tasks.jsonl", path / "meta" / "tasks.parquet"
    if lines.is_file():
        rows = [json.loads(line) for line in lines.read_text().splitlines() if line.strip()]
    elif table.is_file():
        rows = read_table(table).to_pylist()
    else:
        return {}
    return {
        int(row["task_index"]): str(row.get("task", row.get("__index_level_0__"))) for row in rows
    }
