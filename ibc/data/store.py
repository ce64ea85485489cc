"""Writing demonstrations in Minari's HDF5 layout, one episode after another, whole or not at all.

The layout is that of Minari 0.5 (``data/main_data.hdf5`` with ``episode_i`` groups, and ``data/metadata.json``), so
``minari.load_dataset`` opens what is written here. It is written with h5py because Minari's own writer stores images
as lossy JPEG.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

import gymnasium as gym
import h5py
import numpy as np
from minari.serialization import serialize_space

from ibc.data.episode import Episode, Frames, InvalidEpisode
from ibc.data.hdf5 import write_array, write_frames
from ibc.data.pictures import is_picture
from ibc.data.spaces import flatten_space, nest_space
from ibc.errors import UserError
from ibc.files import write_atomically
from ibc.lock import Busy, hold

DATA_FILE = "main_data.hdf5"
METADATA_FILE = "metadata.json"
#: Entries of the metadata in which a continued attempt may differ.
INCIDENTAL = ("dataset_id", "minari_version", "total_episodes", "total_steps")

#: Bytes that are left free on the disk.
RESERVE = 16 << 20


class AlreadyThere(UserError):
    """A data set of that name exists."""


class FinishedElsewhere(AlreadyThere):
    """Another process has written the data set for which this one waited."""


class DemonstrationWriter:
    """Appends episodes to ``<path>.partial`` and gives the folder its own name when all are there.

    An interrupted collection is continued: ``len(writer)`` says how many episodes the last attempt has left.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        observation_space: gym.spaces.Dict,
        action_space: gym.Space[Any],
        env_id: str = "",
        about: dict[str, Any] | None = None,
        wait: bool = False,
        replace: bool = False,
        append: bool = False,
    ) -> None:
        """Begin, or continue, a folder in Minari's layout.

        Args:
            path: of the folder.
            observation_space: of the observations by name; of pictures (H, W, C) uint8.
            action_space: of the actions.
            env_id: of the environment, if there is one.
            about: plain JSON that says how the episodes are made.
            wait: for another process that is writing the same folder.
            append: go on after the episodes of a folder that is complete; it has its name again when it is closed.
            replace: an earlier attempt that cannot be continued, for episodes that can be made again. Its ``about``
                must have the same entries: recordings of a robot cannot be made again.

        Raises:
            AlreadyThere: ``path`` exists.
            UserError: ``path`` cannot be written, or another process is writing it; or an earlier attempt has left
                episodes of other spaces or another ``about``, or cannot be opened; or the readers would refuse a space.
            FinishedElsewhere: with ``wait``, where that process has finished it meanwhile.
        """
        path = Path(path).expanduser()
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self._metadata = {
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "observation_space": serialize_space(nest_space(observation_space)),
            "action_space": serialize_space(action_space),
            "dataset_id": f"{path.name}-v0",
            "minari_version": "0.5.4",
            "env_id": env_id,
            "about": about or {},
        }
        spaces = flatten_space(observation_space)
        self._pictures = {name for name, space in spaces.items() if _is_picture(name, space)}
        self._shapes = {name: space.shape for name, space in spaces.items()}
        self._shapes["the action"] = (int(np.prod(action_space.shape or ())),)
        self._data = self.partial / "data"
        is_reopened = self._reopen(append=append)
        self._lock = self._hold(wait)
        #: Seed of the last episode written, None before the first.
        self.last_seed: int | None = None
        self._num_episodes = self._start(replace=replace, is_reopened=is_reopened)

    def _reopen(self, *, append: bool) -> bool:
        """Make a complete folder a partial one again, where there is one."""
        if not self.path.exists():
            return False
        if not append or self.partial.exists():
            raise AlreadyThere(
                f"{self.path} exists already; choose another path, or go on by append=True in Python"
            )
        _check_complete(self.path)
        self.path.rename(self.partial)
        return True

    def _hold(self, wait: bool) -> IO[bytes]:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = hold(self.partial / ".lock", waiting_for=str(self.path) if wait else None)
        except Busy as error:
            raise UserError(f"{self.path} is being collected by another process") from error
        except OSError as error:
            if self.path.exists():
                raise FinishedElsewhere(f"{self.path} exists already") from error
            raise UserError(f"cannot write {self.path}: {error.strerror}") from error
        if self.path.exists():  # since this process looked for it
            shutil.rmtree(self.partial)
            raise FinishedElsewhere(f"{self.path} exists already")
        return lock

    def _start(self, *, replace: bool, is_reopened: bool) -> int:
        """Number of whole episodes of an earlier attempt, 0 if there is none."""
        if not (self._data / DATA_FILE).exists():
            return self._begin()
        try:
            return self._continue() or self._begin()
        except (OSError, ValueError, KeyError) as error:
            if (
                replace
                and not is_reopened
                and not isinstance(error, BlockingIOError)  # open in another program
                and self._is_of_this_kind()
            ):
                return self._begin()
            self.release()
            if is_reopened:
                (self.partial / ".lock").unlink(missing_ok=True)
                self.partial.rename(self.path)
            raise UserError(
                f"{self.path if is_reopened else self.partial} cannot be continued: {error}; move it away, or choose another path"
            ) from error

    def _is_of_this_kind(self) -> bool:
        """Whether the attempt that was left was made as this one is, of other demonstrations or with other settings."""
        try:
            known = json.loads((self._data / METADATA_FILE).read_text())
        except (OSError, ValueError):
            return False
        return set(known.get("about", ())) == set(self._metadata["about"])

    def _continue(self) -> int:
        known = json.loads((self._data / METADATA_FILE).read_text())
        described = json.loads(json.dumps(self._metadata))  # tuples are lists there
        is_same = all(known[k] == v for k, v in described.items() if k not in INCIDENTAL)
        with h5py.File(self._data / DATA_FILE, "r+" if is_same else "r") as file:
            whole = {name for name in file if file[name].attrs.get("whole", False)}
            if not whole:
                return 0
            if not is_same:
                raise ValueError(f"it has {len(whole)} episodes of other spaces, or made otherwise")
            for name in set(file) - whole:
                del file[name]
            seed = file[f"episode_{len(whole) - 1}"].attrs.get("seed")
            self.last_seed = None if seed is None else int(seed)
        return len(whole)

    def _begin(self) -> int:
        (self._data / DATA_FILE).unlink(missing_ok=True)  # others may go on reading it
        self._write_metadata(total_episodes=0, total_steps=0)
        h5py.File(self._data / DATA_FILE, "w").close()
        return 0

    def _write_metadata(self, **totals: int) -> None:
        text = json.dumps({**self._metadata, **totals}, indent=1)
        write_atomically(self._data / METADATA_FILE, text.encode())

    def __len__(self) -> int:
        """Number of episodes written so far."""
        return self._num_episodes

    def append(self, episode: Episode) -> None:
        """Write one episode; on return it is on disk.

        Raises:
            TypeError: its text is no plain JSON.
            UserError: its names, shapes or types are not those of the spaces; another program has the file open; or the
                disk is full, which is asked beforehand, since HDF5 does not survive it. What was written before stays.
        """
        self._check_shapes(episode)
        text = json.dumps(dict(episode.text))
        size = sum(array.nbytes for array in (*episode.obs.values(), episode.action))
        if shutil.disk_usage(self._data).free < 2 * size + RESERVE:
            raise UserError(f"the disk is full; {len(self)} episodes are kept in {self.partial}")
        path = self._data / DATA_FILE
        with self._opened() as file:
            name = f"episode_{self._num_episodes}"
            if name in file:  # begun, and given up because of its pictures
                del file[name]
            group = file.create_group(name)
            group.attrs["id"] = self._num_episodes
            group.attrs["total_steps"] = len(episode)
            if episode.seed is not None:
                group.attrs["seed"] = episode.seed
            for key, array in episode.obs.items():
                if isinstance(array, Frames):
                    write_frames(group, f"observations/{key}", array)
                else:
                    write_array(group, f"observations/{key}", array)
            ends = np.zeros((2, len(episode)), dtype=np.bool_)
            ends[:, -1] = episode.terminated, episode.truncated
            write_array(group, "actions", episode.action)
            write_array(group, "rewards", episode.reward)
            write_array(group, "terminations", ends[0])
            write_array(group, "truncations", ends[1])
            write_array(group, "infos/success", episode.success)
            if episode.text:
                group.attrs["text"] = text
            group.attrs["whole"] = True
        with path.open("rb") as written:
            os.fsync(written.fileno())
        self._num_episodes += 1
        self.last_seed = episode.seed

    def _opened(self) -> h5py.File:
        path = self._data / DATA_FILE
        try:
            return h5py.File(path, "r+")
        except OSError as error:
            raise UserError(
                f"cannot write {path}, which another program may be reading: {error}; {len(self)} episodes are in it"
            ) from error

    def _check_shapes(self, episode: Episode) -> None:
        arrays = {**episode.obs, "the action": episode.action}
        found = {name: tuple(array.shape[1:]) for name, array in arrays.items()}
        for name in sorted({*found, *self._shapes}):
            own, declared = (shapes.get(name, "missing") for shapes in (found, self._shapes))
            if own != declared:
                raise UserError(
                    f"episode {len(self)} for {self.path}: {name} is {own}; its space: {declared}"
                )
        for name in self._pictures:
            if (dtype := arrays[name].dtype) != np.uint8:
                raise UserError(
                    f"episode {len(self)} for {self.path}: {name} is {dtype}, not uint8"
                )

    def keep_first(self, count: int) -> None:
        """Remove all episodes but the first ``count``, where an earlier attempt wanted more."""
        if len(self) <= count:
            return
        with h5py.File(self._data / DATA_FILE, "r+") as file:
            for number in range(count, len(self)):
                del file[f"episode_{number}"]
        self._num_episodes = count

    def release(self) -> None:
        """Let another process continue; what has been written stays."""
        self._lock.close()

    def close(self) -> None:
        """Complete the metadata and give the folder its final name."""
        with h5py.File(self._data / DATA_FILE, "r") as file:
            whole = {name: group for name, group in file.items() if group.attrs.get("whole", False)}
            given_up = set(file) - set(whole)  # begun, and interrupted
            steps = sum(int(group.attrs["total_steps"]) for group in whole.values())
        if given_up:
            with self._opened() as file:
                for name in given_up:
                    del file[name]
        self._write_metadata(total_episodes=len(whole), total_steps=steps)
        self.partial.replace(self.path)  # before another process may have the lock
        (self.path / ".lock").unlink()
        self.release()


def _check_complete(path: Path) -> None:
    """Refuse to go on in a folder that a writer like this one has not completed; others may not be told apart later.

    Raises:
        UserError: saying what it is.
    """
    try:
        with h5py.File(path / "data" / DATA_FILE, "r") as file:
            is_whole = [group.attrs.get("whole", False) for group in file.values()]
    except OSError as error:
        raise UserError(f"{path} cannot be continued: it is no folder of recordings") from error
    if not is_whole or not all(is_whole):
        raise UserError(f"{path} cannot be continued: its episodes were written by another program")


def _is_picture(name: str, space: gym.Space[Any]) -> bool:
    try:
        return is_picture(name, space.shape or (), np.dtype(space.dtype))
    except InvalidEpisode as error:
        raise UserError(f"observations: {error}") from error
