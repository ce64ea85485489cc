"""RLDS data sets as TensorFlow Datasets stores them: ``features.json`` and TFRecords, an episode a record.

Entries of all steps of an episode lie end to end in one list a feature, ``steps/observation/state`` for example; how
long one step's are says ``features.json`` (TFDS, ``core/features``). Nothing of TensorFlow is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames, InvalidEpisode
from ibc.data.frames import decode_image
from ibc.data.pictures import is_picture
from ibc.data.request import Request
from ibc.data.streamed_frames import StreamedFrames, with_last_again
from ibc.data.tfrecord import Feature, parse_example, records
from ibc.errors import UserError
from ibc.files import read_json_object
from ibc.spec import as_float32

SHARD = re.compile(r".+\.tfrecord-\d+-of-(\d+)")
OBSERVATION = "observation/"
#: Flags of a step.
MARKS = ("is_first", "is_last", "is_terminal", "discount")


def can_read(path: Path) -> bool:
    """A folder with ``features.json``, or with folders of versions that have one, or one of its shards."""
    return _folder(path) is not None


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode of every split, shard by shard.

    A step that is marked as last has the observation after the last action, and an action without meaning. Where none
    is marked, the recording was cut: all its actions count, and the last observation is repeated. Rewards that are not
    recorded are zero. Texts of the steps and of the episode become its text.

    Raises:
        UserError: a shard is missing, or an observation or action is.
    """
    folder = _folder(path)
    assert folder is not None
    description = read_json_object(folder / "features.json")
    layout = _Layout.of(path, description, request)
    for shard in _shards(path, folder):
        for record in records(shard):
            yield layout.episode(parse_example(record))


def _folder(path: Path) -> Path | None:
    if path.is_file():
        is_shard = SHARD.fullmatch(path.name) and (path.parent / "features.json").is_file()
        return path.parent if is_shard else None
    if (path / "features.json").is_file():
        return path
    inner = [file.parent for file in path.glob("*/features.json")]
    return max(inner, key=_version, default=None)


def _version(folder: Path) -> tuple[list[int], str]:
    """Sorts 1.9.0 before 1.10.0."""
    return [int(number) for number in re.findall(r"\d+", folder.name)], folder.name


def _shards(path: Path, folder: Path) -> list[Path]:
    if path.is_file():
        return [path]
    shards = sorted(p for p in folder.iterdir() if SHARD.fullmatch(p.name))
    by_split: dict[str, list[Path]] = {}
    for shard in shards:
        by_split.setdefault(shard.name.rpartition(".tfrecord")[0], []).append(shard)
    for split, found in by_split.items():
        announced = int(found[0].name.rpartition("-of-")[2])
        if len(found) != announced:
            raise UserError(f"{folder} has {len(found)} of the {announced} shards of {split}")
    if not shards:
        raise UserError(f"{folder} has features.json, but no shards *.tfrecord-00000-of-...")
    return shards


@dataclass(frozen=True)
class _Leaf:
    """A feature of a step: shape and type of its numbers; None for text."""

    kind: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class _Layout:
    """Where in a record the parts of an episode are."""

    path: Path
    leaves: Mapping[str, _Leaf]
    obs: Mapping[str, str]
    action: str
    reward: str | None
    success: str | None

    @classmethod
    def of(cls, path: Path, description: Mapping[str, Any], request: Request) -> _Layout:
        leaves = dict(
            _walk(description["featuresDict"]["features"]["steps"]["sequence"]["feature"], "")
        )
        arrays = [n for n, leaf in leaves.items() if leaf.kind != "text" and n not in MARKS]
        action = request.part("action", ("action",), arrays)
        if action is None:
            raise UserError(
                f"{path} has no action that is one array, but {', '.join(arrays)}; "
                "say which it is by data.rename={NAME: action}"
            )
        reward = request.part("reward", ("reward",), arrays)
        observed = [n for n in arrays if n.startswith(OBSERVATION)]
        fields = {name.removeprefix(OBSERVATION): name for name in observed}
        others = [n for n in arrays if n not in observed]
        if "observation" in others:  # the only one, without a name
            fields = {"image" if leaves["observation"].kind == "image" else "state": "observation"}
        success = request.part("success", (), arrays)
        return cls(path, leaves, request.observations(fields, others), action, reward, success)

    def episode(self, record: Mapping[str, Feature]) -> Episode:
        rows = len(self._values(record, self.action))
        last = self._mark(record, "is_last", rows)
        ends = bool(last[-1]) and rows > 1
        steps = rows - ends
        rewards = None if self.reward is None else self._values(record, self.reward)[:steps]
        terminal = self._mark(record, "is_terminal", rows)
        return Episode(
            obs={name: self._observation(record, n, rows, ends) for name, n in self.obs.items()},
            action=as_float32(self._values(record, self.action)[:steps].reshape(steps, -1)),
            reward=np.zeros(steps, np.float32)
            if rewards is None
            else as_float32(rewards.reshape(-1)),
            success=np.zeros(steps, dtype=np.bool_)
            if self.success is None
            else self._values(record, self.success)[:steps].reshape(-1).astype(np.bool_),
            terminated=bool(terminal[-1]),
            truncated=bool(last[-1]) and not bool(terminal[-1]),
            text=self._texts(record),
        )

    def _observation(
        self, record: Mapping[str, Feature], name: str, rows: int, ends: bool
    ) -> NDArray[Any] | Frames:
        leaf = self.leaves[name]
        if leaf.kind == "image":
            if leaf.dtype != "uint8":
                raise InvalidEpisode(
                    f"'{name}' is {leaf.dtype}, depth perhaps; pictures are uint8, leave it out by data.obs_names"
                )
            files = record[f"steps/{name}"]
            if not isinstance(files, list) or len(files) != rows:
                raise InvalidEpisode(f"'{name}' has {len(files)} entries, expected {rows}")
            return _jpegs(self.path, files, again=not ends)
        values = self._values(record, name)
        if len(values) != rows:
            raise InvalidEpisode(f"'{name}' has {len(values)} entries, expected {rows}")
        values = values if ends else np.concatenate([values, values[-1:]])
        if is_picture(name, leaf.shape, np.dtype(leaf.dtype)):
            as_bytes = values.astype(leaf.dtype)
            return StreamedFrames(self.path, values.shape, lambda: iter(as_bytes))
        return as_float32(values)

    def _values(self, record: Mapping[str, Feature], name: str) -> NDArray[Any]:
        """The numbers of a feature, (rows, *shape)."""
        feature, shape = record[f"steps/{name}"], self.leaves[name].shape
        if isinstance(feature, list):
            raise InvalidEpisode(f"'{name}' holds bytes, expected numbers")
        return feature.reshape(-1, *shape) if math.prod(shape) else feature.reshape(len(feature), 0)

    def _mark(self, record: Mapping[str, Feature], name: str, rows: int) -> NDArray[np.bool_]:
        feature = record.get(f"steps/{name}")
        if feature is None or isinstance(feature, list):
            return np.zeros(rows, np.bool_)
        if len(feature) != rows:
            raise InvalidEpisode(f"'{name}' has {len(feature)} entries, expected {rows}")
        return feature.astype(np.bool_)

    def _texts(self, record: Mapping[str, Feature]) -> dict[str, str]:
        texts = [f"steps/{name}" for name, leaf in self.leaves.items() if leaf.kind == "text"]
        texts += [
            n
            for n, f in record.items()
            if n.startswith("episode_metadata/") and isinstance(f, list)
        ]
        out = {}
        for name in texts:
            entries = record.get(name, [])
            words = [e.decode("utf-8", "replace") for e in entries if isinstance(e, bytes)]
            out[name.partition("/")[2]] = "; ".join(dict.fromkeys(words))
        return out


def _jpegs(path: Path, files: list[bytes], again: bool) -> StreamedFrames:
    """Pictures of compressed files; with the last one once more, if wanted."""

    def read() -> Iterator[NDArray[np.uint8]]:
        return (decode_image(content) for content in files)

    shape = (len(files) + again, *decode_image(files[0]).shape)
    return StreamedFrames(path, shape, lambda: with_last_again(read()) if again else read())


def _walk(node: Mapping[str, Any], name: str) -> Iterator[tuple[str, _Leaf]]:
    """The features of a step by their names ``outer/inner``."""
    if "featuresDict" in node:
        for key, child in node["featuresDict"]["features"].items():
            yield from _walk(child, f"{name}/{key}" if name else key)
    elif "text" in node:
        yield name, _Leaf("text", (), "string")
    elif "image" in node:
        yield name, _Leaf("image", (), str(node["image"].get("dtype", "uint8")))
    elif "tensor" in node:
        tensor = node["tensor"]
        shape = tuple(int(n) for n in tensor.get("shape", {}).get("dimensions", ()))
        kind = "text" if tensor["dtype"] == "string" else "tensor"
        yield name, _Leaf(kind, shape, tensor["dtype"])
