"""LeRobot data sets, versions 2 and 3: Parquet for numbers, MP4 for cameras, ``meta/info.json`` for both.

Version 2 keeps an episode a file; version 3 packs episodes into larger files and says in ``meta/episodes`` where each
lies (``lerobot/datasets`` of huggingface/lerobot).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.arrow import column, numbers, read_table, text
from ibc.data.episode import Episode, Frames, InvalidEpisode, check_count
from ibc.data.frames import decode_image, video_pictures
from ibc.data.lerobot_layout import Layout, read_layout
from ibc.data.pictures import CHANNELS
from ibc.data.request import Request
from ibc.data.streamed_frames import Forward, StreamedFrames, with_last_again
from ibc.errors import UserError
from ibc.spec import as_float32


def can_read(path: Path) -> bool:
    """A folder with ``meta/info.json``."""
    return (path / "meta" / "info.json").is_file()


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, by number; where rewards or successes are not recorded they are zero and false.

    Observations lose their prefix: ``observation.state`` is called ``state``, ``observation.images.top``
    ``images/top``. The layout has T of them; the one after the last action is a copy of the last. Columns of text, and
    the tasks by name, become the episode's text.

    Raises:
        UserError: the data set is of another version, or a file it announces is missing.
    """
    layout = read_layout(path, request)
    videos: dict[str, tuple[Path, Forward]] = {}
    opened: _Table | None = None
    for number, place in enumerate(layout.places):
        file = layout.file(layout.data_path, **place.data)
        if opened is None or opened.file != file:
            opened = _Table(file, layout.columns)
        steps = opened.rows_of(number)
        check_count("steps", len(steps), len(steps) if place.length is None else place.length)
        source = _Source(path, layout, number, steps, videos)
        yield source.episode()


@dataclass
class _Table:
    """The wanted columns of a file, and which episode each row is of."""

    file: Path
    names: Sequence[str]
    table: Any = field(init=False)
    owner: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.table = read_table(self.file, self.names)
        self.owner = numbers(column(self.table, "episode_index"), "episode_index")

    def rows_of(self, episode: int) -> Any:
        where = np.flatnonzero(self.owner == episode)
        if len(where) == 0 or len(where) != where[-1] - where[0] + 1:
            raise InvalidEpisode(f"{self.file.name} does not hold it in one piece")
        return self.table.slice(int(where[0]), len(where))


@dataclass
class _Source:
    """The data set, and the rows of an episode of it."""

    path: Path
    layout: Layout
    number: int
    table: Any
    videos: dict[str, tuple[Path, Forward]]

    def episode(self) -> Episode:
        steps = len(self.table)
        frame = numbers(column(self.table, "frame_index"), "frame_index")
        if not np.array_equal(frame, np.arange(steps)):
            raise InvalidEpisode("its frames are not numbered from 0 on")
        obs = {name: self._observation(inside) for name, inside in self.layout.obs.items()}
        done = self._optional("next.done")
        action = numbers(column(self.table, self.layout.action), "action")
        return Episode(
            obs=obs,
            action=as_float32(action).reshape(
                steps, -1
            ),  # one number a step has no list of its own
            reward=as_float32(self._optional(self.layout.reward)),
            success=self._optional(self.layout.success).astype(np.bool_),
            terminated=bool(done[-1]),
            truncated=not bool(done[-1]),
            text={
                name: text(column(self.table, name))
                for name in self.layout.texts
                if name in self.table.column_names
            }
            | self._tasks(),
        )

    def _tasks(self) -> dict[str, str]:
        if not self.layout.tasks or "task_index" not in self.table.column_names:
            return {}
        used = dict.fromkeys(numbers(column(self.table, "task_index"), "task_index").tolist())
        return {"task": "; ".join(self.layout.tasks.get(index, str(index)) for index in used)}

    def _optional(self, name: str) -> NDArray[Any]:
        if name not in self.table.column_names:
            return np.zeros(len(self.table))
        return numbers(column(self.table, name), name).reshape(-1)

    def _observation(self, name: str) -> NDArray[Any] | Frames:
        """One observation over an episode (T + 1, *shape), cameras still to be decoded."""
        feature = self.layout.features[name]
        steps = len(self.table)
        if feature["dtype"] in ("video", "image"):
            shape = (steps + 1, *_picture_shape(name, feature))
            pictures = self._video(name) if feature["dtype"] == "video" else self._images(name)
            return StreamedFrames(self.path, shape, lambda: with_last_again(pictures()))
        values = numbers(column(self.table, name), name)
        expected = tuple(feature["shape"])
        if values.shape[1:] != expected and (values.ndim, expected) != (1, (1,)):
            raise InvalidEpisode(f"'{name}' has shape {values.shape[1:]}; {expected} announced")
        array = as_float32(values.reshape(steps, *expected))
        return np.concatenate([array, array[-1:]])

    def _images(self, name: str) -> Any:
        entries = column(self.table, name)

        def pictures() -> Iterator[NDArray[np.uint8]]:
            for entry in entries:
                content, file = entry["bytes"].as_py(), entry["path"].as_py()
                if content is None and file is not None:
                    content = self.layout.file("{file}", file=file).read_bytes()
                yield decode_image(content)

        return pictures

    def _video(self, name: str) -> Any:
        where, start = self.layout.video(self.number, name)
        file = self.layout.file(self.layout.video_path, video_key=name, **where)
        if not file.is_file():
            raise UserError(f"there is no {file}")
        known = self.videos.get(name)
        if known is None or known[0] != file:
            known = self.videos[name] = file, Forward(lambda: video_pictures(file))
        forward, first, steps = known[1], round(start * self.layout.fps), len(self.table)
        is_last = self.layout.is_last_of_video(self.number, name)
        return lambda: forward.read(first, steps, is_last=is_last)


def _picture_shape(name: str, feature: dict[str, Any]) -> tuple[int, int, int]:
    """(H, W, C) of a camera; some recorders announce the channels first, and store pictures all the same."""
    shape = tuple(int(n) for n in feature["shape"])
    if len(shape) != 3:
        raise InvalidEpisode(f"'{name}' is announced with shape {shape}, expected (H, W, C)")
    if shape[0] in CHANNELS and shape[2] not in CHANNELS:
        shape = (*shape[1:], shape[0])
    return (shape[0], shape[1], 3)
