"""Pictures are decoded once, cut out and made smaller, and read at random from then on."""

import contextlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import torch
from formats import ALL, LENGTHS, write_lerobot, write_robomimic, write_tfrecord
from replays import write_npz, write_rlds

from ibc.data import kept_frames
from ibc.data.dataset import ShuffledIndices
from ibc.data.frame_table import FrameTable
from ibc.data.kept_frames import KeptFrames
from ibc.data.loading import load_dataset, load_episodes
from ibc.data.pictures import fit_picture
from ibc.data.prefetch import Prefetcher
from ibc.data.selection import Selection
from ibc.data.streamed_frames import Forward, StreamedFrames
from ibc.errors import UserError


def selection(tmp_path, **changes):
    return Selection(cache=tmp_path / "frames", **changes)


CAMERAS = {
    write_robomimic: "agentview_image",
    write_tfrecord: "rgb",
    write_lerobot: "images/wrist",
    write_npz: "img",
    write_rlds: "rgb",
}


@pytest.mark.parametrize("write", CAMERAS)
def test_training_sees_each_picture_as_a_robot_makes_it(write, tmp_path):
    path, camera = write(tmp_path), CAMERAS[write]
    change = {"crop": [1, 2, 6, 8], "image_size": [3, 4]}
    whole, small = (
        load_episodes(path, selection(tmp_path, obs_names=[camera], **c)) for c in ({}, change)
    )
    for one, other in zip(whole, small, strict=True):
        assert isinstance(other.obs[camera], KeptFrames)
        expected = [fit_picture(p, crop=[1, 2, 6, 8], size=[3, 4]) for p in one.obs[camera]]
        np.testing.assert_array_equal(np.asarray(other.obs[camera]), expected)
        np.testing.assert_array_equal(other.obs[camera][1:][[1, 0]], np.array(expected)[[2, 1]])
    if write in (write_robomimic, write_npz, write_lerobot):  # without loss
        for one, e in zip(whole, ALL, strict=True):
            np.testing.assert_array_equal(np.asarray(one.obs[camera])[:-1], e["image"][:-1])


def test_they_are_found_again_wherever_the_data_is(tmp_path, monkeypatch):
    path = write_robomimic(tmp_path)
    first = load_dataset(path, selection=selection(tmp_path))
    monkeypatch.setattr(kept_frames._Keeper, "write", None)  # which nothing calls again
    moved = path.rename(tmp_path / "moved.hdf5")
    second = load_dataset(moved, selection=selection(tmp_path))
    assert first.about["sha256"] == second.about["sha256"]
    rows = torch.arange(len(first))
    assert torch.equal(
        first.batch(rows).obs["agentview_image"], second.batch(rows).obs["agentview_image"]
    )


def test_a_reader_that_fails_leaves_nothing(tmp_path):
    path = write_lerobot(tmp_path)
    videos = sorted(path.glob("videos/**/*.mp4"))
    shutil.copy(videos[2], videos[1])  # which is shorter
    with pytest.raises(UserError, match="picture 3: there are fewer than the 7 it should have"):
        load_episodes(path, selection(tmp_path))
    assert [p.suffix for p in (tmp_path / "frames").iterdir()] == [".lock"]


def test_the_order_in_which_cameras_are_asked_for_does_not_matter(tmp_path):
    path = write_robomimic(tmp_path)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            for group in ("obs", "next_obs"):
                demo[f"{group}/front"] = 255 - demo[f"{group}/agentview_image"][:]
    names = ["agentview_image", "front"]
    for order in (names, names[::-1]):
        for one, e in zip(
            load_episodes(path, selection(tmp_path, obs_names=order)), ALL, strict=True
        ):
            assert list(one.obs) == order
            np.testing.assert_array_equal(np.asarray(one.obs["agentview_image"]), e["image"])
            np.testing.assert_array_equal(np.asarray(one.obs["front"]), 255 - e["image"])


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_of_pictures_is_named_with_what_to_do(damage, tmp_path):
    path = write_robomimic(tmp_path)
    load_episodes(path, selection(tmp_path))
    (raw,) = (tmp_path / "frames").glob("*/0.raw")
    raw.unlink() if damage == "gone" else raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"0\.raw (cannot be read|has not the size).*; delete "):
        load_episodes(path, selection(tmp_path))


@pytest.mark.parametrize("name", ["file", "file/inside", "a" * 300])
def test_a_folder_that_cannot_be_is_one_line(name, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write "):
        load_episodes(write_robomimic(tmp_path), Selection(cache=tmp_path / name))


def test_two_at_once_write_once(tmp_path, monkeypatch):
    path, begun = write_robomimic(tmp_path), []
    write = kept_frames._Keeper.write

    def slowly(self, *args):
        begun.append(threading.get_ident())
        threading.Event().wait(0.3)
        return write(self, *args)

    monkeypatch.setattr(kept_frames._Keeper, "write", slowly)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(load_episodes, path, selection(tmp_path)) for _ in range(2)]
        assert [len(one.result(20)) for one in both] == [len(LENGTHS)] * 2
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": {"front": [3, 4]}}, "there is no camera front; there are images/wrist"),
        ({"crop": [0, 0, 9, 9]}, "is not inside of 'images/wrist', which has 8 rows"),
        ({"image_size": [3]}, "it is .height, width. in pixels"),
        ({"image_size": 96}, "it is .height, width. in pixels"),
        ({"image_size": [True, True]}, "it is .height, width. in pixels"),
        ({"image_size": [3, 4], "obs_names": ["state"]}, "no observation that is read is a pic"),
    ],
)
def test_what_cannot_be(wrong, message, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(UserError, match=message):
        load_episodes(write_lerobot(tmp_path, camera=False), selection(tmp_path, **wrong))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda picture: None, "episode 1: .*differ from .*'agentview_image': 'pictures'"),
        (lambda picture: picture[..., 0, 0], "episode 1: .*differ from "),
        (lambda picture: picture[:, 1:], r"episode 1: .*are \(7, 10, 3\), and \(8, 10, 3\) before"),
    ],
    ids=["gone", "numbers", "smaller"],
)
def test_a_camera_that_becomes_another_is_named_and_nothing_is_kept(change, message, tmp_path):
    path = write_robomimic(tmp_path, next_obs=False)
    with h5py.File(path, "r+") as file:
        obs = file["data/demo_10/obs"]
        changed = change(obs["agentview_image"][:])
        del obs["agentview_image"]
        if changed is not None:
            obs["agentview_image"] = changed
    with pytest.raises(UserError, match=message):
        load_episodes(path, selection(tmp_path))
    assert [p.suffix for p in (tmp_path / "frames").iterdir()] == [".lock"]
    if changed is not None and changed.ndim == 4:
        sizes = {e.obs["agentview_image"].shape[1:] for e in load_resized(path, tmp_path)}
        assert sizes == {(4, 4, 3)}


def load_resized(path, tmp_path):
    return load_episodes(path, selection(tmp_path, image_size=[4, 4]))


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match="make them smaller by data.image_size"):
        load_episodes(write_robomimic(tmp_path), selection(tmp_path))


def test_a_camera_may_have_a_size_of_its_own(tmp_path):
    sizes = {"image_size": {"images/top": [4, 8]}}
    episode, *_ = load_episodes(write_lerobot(tmp_path), selection(tmp_path, **sizes))
    assert episode.obs["images/top"].shape == (LENGTHS[0] + 1, 4, 8, 3)
    assert episode.obs["images/wrist"].shape == (LENGTHS[0] + 1, 8, 10, 3)


def counted(begun, length=10):
    """A long file, and how often it was begun."""

    def begin():
        begun.append(0)
        for number in range(length):
            begun[-1] += 1
            yield np.full((8, 8, 3), number, np.uint8)

    return begin


def test_a_long_file_is_read_once_by_readers_that_follow_each_other(tmp_path):
    begun = []
    forward = Forward(counted(begun))
    parts = [
        StreamedFrames(tmp_path, (3, 8, 8, 3), lambda first=first: forward.read(first, 3))
        for first in (0, 4, 7)
    ]
    assert [np.asarray(p)[:, 0, 0, 0].tolist() for p in parts] == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
    assert begun == [10]
    assert np.asarray(parts[1][1:])[:, 0, 0, 0].tolist() == [5, 6]
    assert len(begun) == 2


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_batches_gathered_ahead_are_those_of_their_step(ahead, tmp_path):
    dataset = load_dataset(write_robomimic(tmp_path), selection=selection(tmp_path))
    indices = ShuffledIndices(len(dataset), 4, seed=0)
    batches = Prefetcher(dataset, indices, ahead=ahead)
    other = ShuffledIndices(len(dataset), 4, seed=0)
    for step in (0, 1, 2, 3, 8, 9, 5):  # a run that is continued begins elsewhere
        one, expected = batches(step), dataset.batch(other(step))
        assert torch.equal(one.action, expected.action)
        for name, value in expected.obs.items():
            assert torch.equal(one.obs[name], value)
    batches.close()


def test_a_picture_that_cannot_be_read_is_an_error_of_its_step(tmp_path):
    dataset = load_dataset(write_robomimic(tmp_path), selection=selection(tmp_path))
    batches = Prefetcher(dataset, ShuffledIndices(len(dataset), 4, seed=0))
    batches(0)
    (raw,) = (tmp_path / "frames").glob("*/0.raw")
    raw.write_bytes(b"")
    for step in range(1, 5):  # these may have been gathered before
        with contextlib.suppress(UserError):
            batches(step)
    with pytest.raises(UserError, match="is shorter than it was; delete"):
        batches(9)
    batches.close()


def test_a_table_reads_frames_from_wherever_they_are(tmp_path):
    episodes = load_episodes(write_robomimic(tmp_path), selection(tmp_path))
    table = FrameTable([e.obs["agentview_image"][:-1] for e in episodes])
    everything = np.concatenate([e["image"][:-1] for e in ALL])
    rows = torch.randperm(len(everything)).view(-1, 1)
    assert torch.equal(table[rows][:, 0], torch.from_numpy(everything)[rows[:, 0]])


def test_pictures_of_the_episodes_that_are_wanted_alone_are_kept(tmp_path):
    path = write_lerobot(tmp_path)
    (only,) = load_episodes(path, selection(tmp_path, num_episodes=1))
    every = load_episodes(path, selection(tmp_path))
    assert len(every) > 1
    name = next(n for n, array in only.obs.items() if isinstance(array, KeptFrames))
    np.testing.assert_array_equal(only.obs[name], every[0].obs[name])
    sizes = sorted(file.stat().st_size for file in (tmp_path / "frames").glob("*/*.raw"))
    assert sizes[0] == only.obs[name].nbytes < sizes[-1]
