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

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.frames import decode_image
from ibc.data.tfrecord import Feature, parse_example, records
from ibc.errors import UserError
from ibc.spec import NumpyObs, as_float32

FIRST, LAST = 0, 2
JPEG = b"\xff\xd8\xff"
REQUIRED = ("action", "reward", "discount", "step_type", "next_step_type")


def can_read(path: Path) -> bool:
    """A ``.tfrecord`` file, or a folder of them."""
    return bool(_shards(path))


def read(path: Path) -> Iterator[Episode]:
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
                yield _episode(steps, row)
                steps = []
                continue
            if complete:
                yield _episode(steps, steps[-1])
                steps = []
            if (kind == FIRST) == bool(steps) or (kind == LAST and following != FIRST):
                raise InvalidEpisode(f"{shard.name} has steps out of order")
            steps.append(row)
        if steps and _integer(steps[-1]["next_step_type"]) != LAST:
            raise UserError(f"{shard} ends within an episode")
        if steps:
            yield _episode(steps, steps[-1])


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.tfrecord"))
    return [path] if path.is_file() and path.suffix == ".tfrecord" else []


def _episode(steps: list[Mapping[str, Feature]], after: Mapping[str, Feature]) -> Episode:
    names = [name for name in steps[0] if name.split("/")[0] == "observation"]
    obs: NumpyObs = {}
    for name in names:
        frames = [_observation(name, row[name]) for row in (*steps, after)]
        short = name.partition("/")[2] or ("image" if frames[0].ndim == 3 else "state")
        obs[short] = np.stack(frames)
    return Episode(
        obs=obs,
        action=np.stack([_numbers("action", row["action"]) for row in steps]),
        reward=np.concatenate([_numbers("reward", row["reward"]) for row in steps]),
        success=np.zeros(len(steps), dtype=np.bool_),
        terminated=float(_numbers("discount", steps[-1]["discount"])[0]) == 0.0,
        truncated=float(_numbers("discount", steps[-1]["discount"])[0]) != 0.0,
    )


def _observation(name: str, feature: Feature) -> NDArray[np.float32] | NDArray[np.uint8]:
    if not isinstance(feature, list):
        return as_float32(feature)
    if len(feature) != 1 or not feature[0].startswith(JPEG):
        raise InvalidEpisode(f"'{name}' holds bytes that are no JPEG image")
    return decode_image(feature[0])


def _numbers(name: str, feature: Feature) -> NDArray[np.float32]:
    if isinstance(feature, list) or len(feature) == 0:
        raise InvalidEpisode(f"'{name}' holds no numbers")
    return as_float32(feature)


def _integer(feature: Feature) -> int:
    if isinstance(feature, list):
        return int.from_bytes(feature[0], "little")
    return int(feature[0])
