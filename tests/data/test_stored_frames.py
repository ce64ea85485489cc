"""Pictures stay in their file: what is read is what was written, and no more of it than asked for is in memory."""

import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from conftest import random_episode
from gymnasium import spaces

from ibc.data import DemonstrationWriter, Episode, WindowDataset, read_episodes, stored_frames
from ibc.data.frame_table import FrameTable
from ibc.data.stored_frames import StoredFrames
from ibc.errors import UserError

CPU = torch.device("cpu")


def write(path, episodes):
    obs = {name: spaces.Box(0, 255, a.shape[1:], a.dtype) for name, a in episodes[0].obs.items()}
    writer = DemonstrationWriter(
        path,
        env_id="X-v0",
        observation_space=spaces.Dict(obs),
        action_space=spaces.Box(-2, 2, episodes[0].action.shape[1:]),
        about={},
    )
    for episode in episodes:
        writer.append(episode)
    writer.close()
    return path


@pytest.fixture
def stored(tmp_path, episodes):
    return list(read_episodes(write(tmp_path / "data", episodes)))


def test_read_as_written(stored, episodes):
    for mine, theirs in zip(stored, episodes, strict=True):
        frames, expected = mine.obs["camera"], theirs.obs["camera"]
        assert isinstance(frames, StoredFrames)
        assert frames.shape == expected.shape
        assert frames.nbytes == expected.nbytes
        np.testing.assert_array_equal(np.asarray(frames), expected)
        np.testing.assert_array_equal(frames[-1], expected[-1])
        np.testing.assert_array_equal(np.asarray(frames[1:][::2]), expected[1:][::2])
        index = np.array([[3, 0], [1, 1]])
        np.testing.assert_array_equal(frames[index], expected[index])


def test_another_file_at_the_same_place_is_read_anew(tmp_path, episodes):
    """As when a program collects again what it has trained on."""
    path = write(tmp_path / "data", episodes)
    first, late = (next(read_episodes(path)).obs["camera"] for _ in range(2))
    np.testing.assert_array_equal(first[0], episodes[0].obs["camera"][0])
    path.rename(tmp_path / "old")
    write(path, episodes[1:])
    second = next(read_episodes(path)).obs["camera"]
    np.testing.assert_array_equal(second[0], episodes[1].obs["camera"][0])
    np.testing.assert_array_equal(first[1], episodes[0].obs["camera"][1])  # still open
    stored_frames._file.cache_clear()
    stored_frames._node.cache_clear()
    with pytest.raises(UserError, match="has been replaced since its episodes were read"):
        late[0]


def test_windows_are_those_of_arrays(spec, stored, episodes):
    index = torch.randperm(sum(map(len, episodes)))
    mine, theirs = (WindowDataset(e, spec, CPU).batch(index) for e in (stored, episodes))
    assert mine.obs.keys() == theirs.obs.keys()
    for name, value in theirs.obs.items():
        assert torch.equal(mine.obs[name], value)


def test_a_table_counts_through_its_episodes():
    parts = [np.full((n, 1, 1, 3), n, np.uint8) for n in (2, 3, 4)]
    table = FrameTable(parts)
    rows = torch.tensor([[0, 8], [2, 4]])
    assert table[rows][..., 0, 0, 0].tolist() == [[2, 4], [3, 3]]


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path, episodes):
    path = write(tmp_path / "data", episodes) / "data/main_data.hdf5"
    with h5py.File(path) as file:
        chunk = file["episode_1/observations/camera"].id.get_chunk_info_by_coord((4, 0, 0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 20] ^= 255
    path.write_bytes(content)
    first, second, _ = read_episodes(tmp_path / "data")
    np.asarray(first.obs["camera"])
    with pytest.raises(UserError, match="frame 4 of /episode_1/observations/camera cannot be read"):
        np.asarray(second.obs["camera"])


def test_missing_frames_are_noticed_at_once(tmp_path, episodes):
    path = write(tmp_path / "data", episodes)
    with h5py.File(path / "data/main_data.hdf5", "r+") as file:
        del file["episode_0/observations/camera"]
        file.create_dataset(
            "episode_0/observations/camera",
            (6, 12, 16, 3),
            "u1",
            chunks=(1, 12, 16, 3),
            compression="gzip",
        )
    with pytest.raises(UserError, match="incomplete"):
        list(read_episodes(path))


MEMORY = """
import resource, sys
from pathlib import Path
import torch
from ibc.data import WindowDataset, read_episodes
from ibc.spec import ObsField, Spec

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

spec = Spec(
    obs={"camera": ObsField((240, 320, 3), "uint8")}, obs_horizon=2, action_dim=2, action_horizon=1,
    action_low=(-1.0, -2.0), action_high=(1.0, 2.0),
)
before = peak()
dataset = WindowDataset(list(read_episodes(Path(sys.argv[1]))), spec, torch.device("cpu"))
for start in range(0, len(dataset), 4):
    dataset.batch(torch.arange(start, min(start + 4, len(dataset))))
print(peak() - before)
"""


def test_a_data_set_larger_than_the_memory_it_takes(tmp_path, spec):
    """400 frames of 240 x 320 are 88 MB."""
    episode = random_episode(spec, 39, 0)
    camera = np.zeros((40, 240, 320, 3), np.uint8)
    path = write(tmp_path / "data", 10 * [replace(episode, obs={"camera": camera})])
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 45


def test_an_episode_of_stored_frames_can_be_stored_again(tmp_path, stored):
    again = list(read_episodes(write(tmp_path / "again", stored)))
    assert isinstance(again[0], Episode)
    np.testing.assert_array_equal(
        np.asarray(again[2].obs["camera"]), np.asarray(stored[2].obs["camera"])
    )
