"""Damaged files of every format: an error of one line, or numbers that can be data; never a crash."""

import os
import pickle
import random
import signal

import formats
import numpy as np
import pytest
import replays
from formats import ALL

from ibc.data import Episode, read_episodes
from ibc.errors import UserError

WRITERS = formats.WRITERS | replays.WRITERS
#: Formats with a checksum over every number: what is read at all is what was written.
CHECKED = ("minari", "ibc_tfrecord", "d4rl", "rlds", "npz")


def damage(content, rng):
    """Bytes flipped, cut off, zeroed, doubled: what disks and downloads do."""
    data = bytearray(content)
    kind = rng.randrange(5)
    at = rng.randrange(len(data))
    if kind == 0:
        del data[at:]
    elif kind == 1:
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == 2:
        data[at:at] = data[at : at + rng.choice([1, 64])]
    else:
        for _ in range(rng.choice([1, 8, 64])):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def plausible(episodes, checked):
    """Numbers that can be data; those that were written, where there is a checksum."""
    assert episodes
    for episode in episodes:
        assert isinstance(
            episode, Episode
        )  # its constructor has checked lengths, types and finiteness
        for array in episode.obs.values():
            np.asarray(array)  # pictures are decoded when they are read
    actions = {e["action"].tobytes() for e in ALL}
    if checked:
        assert all(e.action.tobytes() in actions for e in episodes)


class TooLong(BaseException):
    """Reading does not end; no reader may take it for damage."""


def fuzz(kind, root, count, seed):
    good = WRITERS[kind](root)
    files = [good] if good.is_file() else sorted(p for p in good.rglob("*") if p.is_file())
    contents = {file: file.read_bytes() for file in files}
    rng = random.Random(seed)
    errors = 0

    def too_long(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for _ in range(count):
            file = rng.choice(files)
            file.write_bytes(damage(contents[file], rng))
            signal.alarm(20)
            try:
                plausible(list(read_episodes(good)), kind in CHECKED)
            except UserError as error:
                assert "\n" not in str(error)
                assert str(error)
                errors += 1
            finally:
                signal.alarm(0)
                file.write_bytes(contents[file])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(read_episodes(good)), "the file is whole again"
    return errors


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Object at:UserWarning")
@pytest.mark.parametrize("kind", WRITERS)
class TestDamage:
    def test_a_few(self, kind, tmp_path):
        count = 12 if kind.startswith("lerobot") else 40  # videos are decoded by a process each
        assert fuzz(kind, tmp_path, count, seed=0) > count // 8

    @pytest.mark.slow
    def test_a_thousand(self, kind, tmp_path):
        assert fuzz(kind, tmp_path, 1000, seed=1) > 100


class TestWhatItIsInstead:
    LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

    @pytest.mark.parametrize(
        ("kind", "file"),
        [
            ("lerobot_v3", "*.mp4"),
            ("lerobot_v2", "*.parquet"),
            ("d4rl", ""),
            ("rlds", "*-of-00002"),
        ],
    )
    def test_a_pointer_of_git_lfs(self, kind, file, tmp_path):
        path = WRITERS[kind](tmp_path)
        found = sorted(path.rglob(file))[0] if file else path
        found.write_bytes(self.LFS)
        with pytest.raises(UserError, match=f"{found.name} is a pointer of Git LFS"):
            plausible(list(read_episodes(path)), checked=False)

    @pytest.mark.parametrize("name", ["x.pkl", "x.npz", "x.hdf5"])
    def test_a_pickle(self, name, tmp_path):
        (tmp_path / name).write_bytes(pickle.dumps({"action": [1, 2]}))
        with pytest.raises(UserError, match="is a pickle, which may run any code"):
            list(read_episodes(tmp_path / name))

    def test_an_empty_meta(self, tmp_path):
        (tmp_path / "meta").mkdir()
        with pytest.raises(UserError, match=r"meta has no info.json"):
            list(read_episodes(tmp_path))


@pytest.mark.parametrize("name", ["episode.npz", "data.hdf5", "data.tfrecord"])
def test_a_pipe_is_never_opened(name, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.mkfifo(folder / name)
    signal.alarm(20)  # nobody writes into the pipe: a reader that opens it waits for ever
    try:
        for path in (folder, folder / name):
            with pytest.raises(UserError):
                list(read_episodes(path))
    finally:
        signal.alarm(0)
