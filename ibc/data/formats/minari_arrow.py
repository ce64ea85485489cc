"""Minari data sets in Arrow or Parquet: a folder an episode, with one row more than it has steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from minari.serialization import deserialize_space
from numpy.typing import NDArray

from ibc.data.arrow import column, numbers, read_table, text
from ibc.data.episode import Episode, Frames, InvalidEpisode, check_count
from ibc.data.formats.minari import check_episodes, encoded_pictures, read_metadata
from ibc.data.frames import decode_image
from ibc.data.pictures import is_picture
from ibc.data.request import Request
from ibc.data.spaces import flatten_space
from ibc.data.store import METADATA_FILE
from ibc.data.streamed_frames import StreamedFrames
from ibc.spec import as_float32

FORMATS = ("arrow", "parquet")


def can_read(path: Path) -> bool:
    """A folder whose ``data`` holds numbered folders of Arrow or Parquet files."""
    return (path / "data" / METADATA_FILE).is_file() and any(
        next((path / "data").glob(f"*/*.{kind}"), None) for kind in FORMATS
    )


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, by number; where rewards or ends are not recorded they are zero and false.

    Raises:
        UserError: episodes are missing.
    """
    metadata = read_metadata(path)
    spaces = flatten_space(deserialize_space(metadata["observation_space"]))
    encoded = encoded_pictures(metadata)
    numbered = [p for p in (path / "data").iterdir() if p.is_dir() and p.name.isdecimal()]
    folders = sorted(numbered, key=lambda folder: int(folder.name))
    check_episodes(path, metadata, len(folders))
    for folder in folders:
        yield _Folder(path, folder, spaces, encoded).episode(request)


@dataclass
class _Folder:
    """The data set, a folder of an episode of it, and what the observations are."""

    path: Path
    folder: Path
    spaces: Mapping[str, Any]
    encoded: Mapping[str, int]

    def episode(self, request: Request) -> Episode:
        files = [file for file in sorted(self.folder.iterdir()) if file.suffix[1:] in FORMATS]
        if len(files) != 1:
            raise InvalidEpisode(
                f"{self.folder.name} holds {len(files)} files of data, expected one"
            )
        about = json.loads((self.folder / METADATA_FILE).read_text())
        table = read_table(files[0])
        steps = len(table) - 1
        check_count("steps", steps, about.get("total_steps", steps))
        source = request.part("action", ("actions",), table.column_names) or "actions"
        action = numbers(column(table, source), "actions")[:steps]
        reward = request.part("reward", (), table.column_names) or "rewards"
        solved = request.part("success", (), table.column_names)
        seed = about.get("seed")
        texts = [n for n, s in self.spaces.items() if isinstance(s, gym.spaces.Text)]
        fields = {name: name for name in self.spaces if name not in texts}
        wanted = request.observations(fields, table.column_names)
        return Episode(
            obs={name: self._observation(table, inside) for name, inside in wanted.items()},
            action=as_float32(action.reshape(steps, -1)),
            reward=as_float32(_optional(table, reward, steps)),
            success=_success(table, steps, solved),
            terminated=bool(_optional(table, "terminations", steps)[-1]),
            truncated=bool(_optional(table, "truncations", steps)[-1]),
            seed=seed if isinstance(seed, int) else None,
            text={name: text(_nested(table, name)) for name in texts},
        )

    def _observation(self, table: Any, name: str) -> NDArray[Any] | Frames:
        space, array = self.spaces[name], _nested(table, name)
        if name in self.encoded:
            channels = self.encoded[name]
            shape = (len(array), *space.shape[:2], channels)
            return StreamedFrames(
                self.path, shape, lambda: (decode_image(b.as_py())[..., :channels] for b in array)
            )
        if space.shape is None:
            raise InvalidEpisode(f"observation '{name}' is from {space}, expected Box")
        flat = numbers(array, name)
        values = flat.reshape(len(flat), *space.shape)
        if is_picture(name, space.shape, values.dtype):
            return StreamedFrames(self.path, values.shape, lambda: iter(values))
        return as_float32(values)


def _nested(table: Any, name: str) -> Any:
    array = column(table, "observations")
    if name not in ("state", "image") or str(array.type).startswith("struct"):
        for key in name.split("/"):
            array = array.field(key)
    return array


def _optional(table: Any, name: str, steps: int) -> NDArray[Any]:
    """Numbers of a column that may be missing, which are then zero."""
    if name not in table.column_names:
        return np.zeros(steps)
    return numbers(column(table, name), name)[:steps]


def _success(table: Any, steps: int, name: str | None) -> NDArray[np.bool_]:
    """The column ``name``, or ``info["success"]`` after each step; with the info of the reset it has one entry more."""
    if name is not None:
        return numbers(column(table, name), name)[:steps].astype(np.bool_)
    if "infos" in table.column_names:
        infos = column(table, "infos")
        if infos.type.get_field_index("success") >= 0:
            return numbers(infos.field("success"), "success").reshape(-1).astype(np.bool_)[-steps:]
    return np.zeros(steps, dtype=np.bool_)
