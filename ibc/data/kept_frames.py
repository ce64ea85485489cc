"""Pictures of a data set, cut out and made smaller once, in a folder that training reads from at random.

A camera is one file of bytes, picture after picture, as they are. One of 120 x 160 takes 0.01 ms to read, from what the
system keeps of the file in memory; as PNG or in compressed pieces it would take 0.5 to 1.1 ms, for files of 57 to 79 %
of the size. Pictures are read, not mapped into memory, so that they do not count as memory of the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.content import content_digest
from ibc.data.episode import Episode, Frames
from ibc.data.pictures import Fit, make_fit
from ibc.data.request import Request
from ibc.data.stored_frames import StoredFrames
from ibc.data.streamed_frames import StreamedFrames, fitted
from ibc.errors import UserError
from ibc.lock import hold
from ibc.progress import track

#: Where pictures are kept.
CACHE = Path("data/.frames")
#: Bytes that are left free on the disk.
RESERVE = 256 << 20

#: The same for every camera, or by the names of cameras.
Numbers = Sequence[int]
ByCamera = Numbers | Mapping[str, Numbers]


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """What pictures are made into before they are learned from, and where they are kept.

    Attributes:
        crop: part of a picture, (top, left, height, width), for all cameras or ``{camera: ...}``.
        image_size: (H, W) that it is then made into, likewise.
        cache: folder of all that is kept.
    """

    crop: ByCamera | None = None
    image_size: ByCamera | None = None
    cache: Path = CACHE

    def fits(self, names: Sequence[str]) -> dict[str, Fit]:
        """What happens to each camera.

        Raises:
            UserError: there are no cameras, one is named that is none, or the numbers are no crop or size.
        """
        if not names and not (self.crop is None and self.image_size is None):
            key = "image_size" if self.crop is None else "crop"
            raise UserError(f"data.{key} is given, and no observation that is read is a picture")
        out = {}
        crop, size = (_by_camera(v, names) for v in (self.crop, self.image_size))
        for key, given in (("crop", crop), ("image_size", size)):
            if unknown := [name for name in given if name not in names]:
                raise UserError(
                    f"data.{key}: there is no camera {', '.join(unknown)}; there are {', '.join(names) or 'none'}"
                )
        for name in names:
            out[name] = make_fit(crop.get(name), size.get(name))
        return out


class KeptFrames(Frames):
    """Frames (N, H, W, C) uint8 that are kept in a file of bytes.

    Args:
        file: of a camera, open for reading.
        first: number of the first one.
        shape: (N, H, W, C).
    """

    def __init__(self, file: IO[bytes], first: int, shape: tuple[int, ...], digest: str) -> None:
        super().__init__(shape, first)
        self._file = file
        #: Of what the file was made from.
        self.digest = digest

    def read_into(self, step: int, out: NDArray[np.uint8]) -> None:
        size = out.nbytes
        buffer: Any = out
        if os.preadv(self._file.fileno(), [buffer], self._steps[step] * size) != size:
            raise UserError(f"{self._file.name} is shorter than it was; delete {self._folder}")

    def _read(self, key: Any) -> NDArray[np.uint8]:
        steps = np.asarray(key)
        out = np.empty((steps.size, *self.shape[1:]), np.uint8)
        for place, step in zip(out, steps.ravel().tolist(), strict=True):
            self.read_into(step, place)
        return out.reshape(*steps.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        array: NDArray[Any] = self[np.arange(len(self))]
        return array.astype(dtype or self.dtype, copy=False)

    @property
    def _folder(self) -> Path:
        return Path(self._file.name).parent


def keep_frames(
    path: Path,
    episodes: Iterator[Episode],
    request: Request,
    cameras: Cameras,
    num_episodes: int | None = None,
) -> list[Episode]:
    """The episodes with their pictures in ``cameras.cache``, put there if they are not there yet.

    They are found again by the content of the data set, whatever it is called, and by what was wanted of it. Of
    several processes that want the same, the first writes and the others wait. Pictures that can be read at random
    already, and do not change, stay where they are. ``num_episodes`` are all that there are in ``episodes``; None if
    these are all of the data set.

    Raises:
        UserError: the data cannot be read, a crop does not fit, or the disk is full.
    """
    first = next(episodes)
    names = [n for n, a in first.obs.items() if isinstance(a, Frames)]
    fits = cameras.fits(names)
    kept = {  # in the order of their names, whatever order they are asked for in: files are numbered by it
        name: fits[name]
        for name in sorted(names)
        if fits[name] != Fit() or not isinstance(first.obs[name], StoredFrames)
    }
    if not kept:
        return [first, *episodes]
    wanted = {
        "rename": dict(request.rename),
        "episode_length": request.episode_length,
        "cameras": {name: asdict(fit) for name, fit in kept.items()},
    }
    if num_episodes is not None:
        wanted["num_episodes"] = num_episodes
    digest = hashlib.sha256(
        f"{content_digest(path)} {json.dumps(wanted, sort_keys=True)}".encode()
    ).hexdigest()
    folder = cameras.cache.expanduser() / digest[:20]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (
            None
            if folder.is_dir()
            else hold(folder.with_suffix(".lock"), waiting_for=f"pictures of {path}")
        )
    except OSError as error:
        raise UserError(f"cannot write {folder.parent}: {error.strerror}") from error
    if lock is not None:
        with lock:
            if not folder.is_dir():
                return _Keeper(folder, kept, digest).write(path, chain([first], episodes))
    light = [_without(episode, kept) for episode in chain([first], episodes)]
    return _find(folder, kept, digest, light)


@dataclass
class _Keeper:
    """Writes the pictures of a data set."""

    folder: Path
    fits: Mapping[str, Fit]
    digest: str

    def write(self, path: Path, episodes: Iterator[Episode]) -> list[Episode]:
        """All pictures, or none: the folder gets its name when they are complete."""
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        light: list[Episode] = []
        try:
            files = [(partial / f"{number}.raw").open("wb") for number in range(len(self.fits))]
            shapes: dict[str, tuple[int, ...]] = {}
            print(f"the pictures of {path} are put into {self.folder}", flush=True)
            for episode in track(episodes, "reading pictures", None, "episode"):
                for file, (name, fit) in zip(files, self.fits.items(), strict=True):
                    frames = episode.obs[name]
                    assert isinstance(frames, Frames)
                    changed = fitted(path, frames, name, fit)
                    size = shapes.setdefault(name, changed.shape[1:])
                    if changed.shape[1:] != size:
                        raise UserError(several_sizes(path, len(light), name, changed.shape, size))
                    self._append(file, changed)
                light.append(_without(episode, self.fits))
            for file in files:
                file.close()
            partial.replace(self.folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return _find(self.folder, self.fits, self.digest, light)

    def _append(self, file: IO[bytes], frames: StreamedFrames) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if free < frames.nbytes + RESERVE:
            raise UserError(
                f"the disk of {self.folder.parent} is full, where pictures of {frames.shape[1:]} are kept; make them "
                "smaller by data.image_size=[HEIGHT,WIDTH], or choose another folder by data.cache"
            )
        for frame in frames:
            try:
                file.write(frame.data)
            except OSError as error:
                raise UserError(f"cannot write {file.name}: {error.strerror}") from error


class _Place(Frames):
    """Stands for pictures whose source is read, until it is known where they are."""

    def _read(self, key: Any) -> NDArray[np.uint8]:
        raise TypeError

    def __array__(self) -> NDArray[Any]:
        raise TypeError


def _without(episode: Episode, fits: Mapping[str, Fit]) -> Episode:
    """The episode without its sources of pictures, which hold their compressed bytes."""
    places = {name: _Place(episode.obs[name].shape) for name in fits}
    return replace(episode, obs={**episode.obs, **places})


def _find(
    folder: Path, fits: Mapping[str, Fit], digest: str, episodes: Sequence[Episode]
) -> list[Episode]:
    """The episodes with their pictures in a folder."""
    try:
        files = {name: (folder / f"{number}.raw").open("rb") for number, name in enumerate(fits)}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read; delete {folder}") from error
    first = dict.fromkeys(fits, 0)
    out = []
    for episode in episodes:
        obs = dict(episode.obs)
        for name, fit in fits.items():
            frames = obs[name]
            shape = (len(frames), *fit.shape(name, frames.shape[1:]))
            obs[name] = KeptFrames(files[name], first[name], shape, f"{digest} {name}")
            first[name] += len(frames)
        out.append(replace(episode, obs=obs))
    for name, file in files.items():
        size = int(np.prod(out[0].obs[name].shape[1:]))
        if os.fstat(file.fileno()).st_size != first[name] * size:
            raise UserError(f"{file.name} has not the size that it should have; delete {folder}")
    return out


def several_sizes(
    path: Path, number: int, name: str, found: Sequence[int], others: Sequence[int]
) -> str:
    """What is said of an episode ``number`` whose pictures (N, H, W, C) are of another size than ``others``."""
    return (
        f"{path}, episode {number}: pictures of '{name}' are {tuple(found[1:])}, and {tuple(others)} before; "
        "data.image_size=[HEIGHT,WIDTH] makes them of one size"
    )


def _by_camera(given: ByCamera | None, names: Sequence[str]) -> dict[str, Numbers]:
    if given is None:
        return {}
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(names, given)
