"""Shards of the official implementation: TFRecords of TF-Agents' trajectories, one example a step.

Float32 and int64 arrays are lists of numbers, images JPEG, step types raw int32 (TF-Agents, ``utils/example_encoding``,
as used by google-research/ibc, ``data/policy_eval.py``). After its last step an episode has one more row, of step type
LAST, which carries the final observation and an action without meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames, InvalidEpisode
from ibc.data.frames import decode_image
from ibc.data.request import Request
from ibc.data.streamed_frames import StreamedFrames
from ibc.data.tfrecord import Feature, parse_example, records
from ibc.errors import UserError
from ibc.spec import as_float32

FIRST, LAST = 0, 2
JPEG = b"\xff\xd8\xff"
REQUIRED = ("action", "reward", "discount", "step_type", "next_step_type")


def can_read(path: Path) -> bool:
    """A ``.tfrecord`` file, or a folder of them."""
    return bool(_shards(path))


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, shard by shard in the order of their names.

    Raises:
        UserError: a shard ends within an episode, as a truncated one does.
    """
    for shard in _shards(path):
        steps: list[Mapping[str, Feature]] = []
        for record in records(shard):
            row = parse_example(record)
            if missing := [name for name in REQUIRED if name not in row]:
                raise InvalidEpisode(f"{shard.name} has a row without {', '.join(missing)}")
            kind, following = _integer(row["step_type"]), _integer(row["next_step_type"])
            complete = bool(steps) and _integer(steps[-1]["next_step_type"]) == LAST
            if complete and kind == LAST:
                yield _episode(path, request, steps, row)
                steps = []
                continue
            if complete:
                yield _episode(path, request, steps, steps[-1])
                steps = []
            if (kind == FIRST) == bool(steps) or (kind == LAST and following != FIRST):
                raise InvalidEpisode(f"{shard.name} has steps out of order")
            steps.append(row)
        if steps and _integer(steps[-1]["next_step_type"]) != LAST:
            raise UserError(f"{shard} ends within an episode")
        if steps:
            yield _episode(path, request, steps, steps[-1])


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.glob("*.tfrecord") if one.is_file())
    return [path] if path.is_file() and path.suffix == ".tfrecord" else []


def _episode(
    path: Path,
    request: Request,
    steps: list[Mapping[str, Feature]],
    after: Mapping[str, Feature],
) -> Episode:
    fields = {}
    for name in (name for name in steps[0] if name.split("/")[0] == "observation"):
        bare = "image" if isinstance(steps[0][name], list) else "state"
        fields[name.partition("/")[2] or bare] = name
    wanted = request.observations(fields, list(steps[0]))
    source = request.part("action", ("action",), list(steps[0])) or "action"
    reward = request.part("reward", ("reward",), list(steps[0])) or "reward"
    solved = request.part("success", (), list(steps[0]))
    return Episode(
        obs={
            name: _observation(path, inside, [row[inside] for row in (*steps, after)])
            for name, inside in wanted.items()
        },
        action=np.stack([_numbers("action", row[source]) for row in steps]),
        reward=np.concatenate([_numbers(reward, row[reward]) for row in steps]),
        success=np.array([solved is not None and _integer(row[solved]) > 0 for row in steps]),
        terminated=float(_numbers("discount", steps[-1]["discount"])[0]) == 0.0,
        truncated=float(_numbers("discount", steps[-1]["discount"])[0]) != 0.0,
    )


def _observation(path: Path, name: str, rows: list[Feature]) -> NDArray[np.float32] | Frames:
    if not isinstance(rows[0], list):
        return np.stack([_numbers(name, row) for row in rows])

    def content(feature: Feature) -> bytes:
        if not isinstance(feature, list) or len(feature) != 1 or not feature[0].startswith(JPEG):
            raise InvalidEpisode(f"'{name}' holds bytes that are no JPEG image")
        return feature[0]

    files = [content(row) for row in rows]
    shape = (len(files), *decode_image(files[0]).shape)
    return StreamedFrames(path, shape, lambda: map(decode_image, files))


def _numbers(name: str, feature: Feature) -> NDArray[np.float32]:
    if isinstance(feature, list) or len(feature) == 0:
        raise InvalidEpisode(f"'{name}' holds no numbers")
    return as_float32(feature)


def _integer(feature: Feature) -> int:
    if isinstance(feature, list):
        return int.from_bytes(feature[0], "little")
    return int(feature[0])
