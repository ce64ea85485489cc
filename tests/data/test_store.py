"""The store of demonstrations: whole episodes, whatever interrupts it, and none of an earlier attempt lost."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces

from ibc.data import DemonstrationWriter, Episode, read_episodes
from ibc.data.store import FinishedElsewhere
from ibc.data.streamed_frames import StreamedFrames
from ibc.errors import UserError


def write(path, spec, episodes, about=None, finish=True, **how):
    space = {
        name: spaces.Box(0, 255, field.shape, np.uint8)
        if field.is_image
        else spaces.Box(-np.inf, np.inf, field.shape, np.float32)
        for name, field in spec.obs.items()
    }
    writer = DemonstrationWriter(
        path,
        env_id="Test-v0",
        observation_space=spaces.Dict(space),
        action_space=spaces.Box(-2.0, 2.0, (spec.action_dim,), np.float32),
        about=about or {"why": "test"},
        **how,
    )
    for episode in episodes[len(writer) :]:
        writer.append(episode)
    if finish:
        writer.close()
    return writer


def assert_same(first: Episode, second: Episode):
    assert set(first.obs) == set(second.obs)
    for name, array in first.obs.items():
        np.testing.assert_array_equal(array, second.obs[name])
    for field in ("action", "reward", "success"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    for field in ("terminated", "truncated", "seed"):
        assert getattr(first, field) == getattr(second, field)


def test_a_complete_folder_is_continued_where_that_is_asked_for(tmp_path, spec, episodes):
    path = tmp_path / "recordings"
    write(path, spec, episodes[:1])
    with pytest.raises(UserError, match="go on by append=True"):
        write(path, spec, episodes)
    interrupted = write(path, spec, episodes[:2], finish=False, append=True)
    assert len(interrupted) == 2
    interrupted.release()
    assert not path.exists()
    write(path, spec, episodes, append=True)
    assert [len(e) for e in read_episodes(path)] == [len(e) for e in episodes]
    assert not path.with_name("recordings.partial").exists()


def test_what_cannot_be_continued_stays_as_it_is(tmp_path, spec, episodes):
    path = tmp_path / "recordings"
    write(path, spec, episodes[:2])
    before = {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
    with pytest.raises(UserError, match="of other spaces, or made otherwise"):
        write(path, spec, episodes, about={"why": "another"}, append=True)
    assert {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()} == before
    with h5py.File(path / "data/main_data.hdf5", "r+") as file:
        del file["episode_0"].attrs["whole"]
    with pytest.raises(UserError, match="written by another program"):
        write(path, spec, episodes, append=True)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match="no folder of recordings"):
        write(tmp_path / "pictures", spec, episodes, append=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda e: {"obs": {**e.obs, "more": e.obs["goal"]}},
            r"more is \(3,\); its space: missing",
        ),
        (lambda e: {"obs": {"camera": e.obs["camera"]}}, r"goal is missing; its space: \(3,\)"),
        (
            lambda e: {"obs": {**e.obs, "camera": np.float32(e.obs["camera"])}},
            "camera is float32, not uint8",
        ),
        (lambda e: {"action": e.action[:, :1]}, r"the action is \(1,\); its space: \(2,\)"),
    ],
)
def test_an_episode_of_other_spaces_is_not_written(tmp_path, spec, episodes, change, message):
    changed = replace(episodes[1], **change(episodes[1]))
    with pytest.raises(UserError, match=message):
        write(tmp_path / "data", spec, [episodes[0], changed])
    write(tmp_path / "data", spec, episodes)
    assert len(list(read_episodes(tmp_path / "data"))) == len(episodes)


class TestStore:
    def test_round_trip_is_exact(self, spec, episodes, tmp_path):
        write(tmp_path / "demos", spec, episodes)
        for original, read in zip(episodes, read_episodes(tmp_path / "demos"), strict=True):
            assert_same(original, read)

    def test_minari_opens_it(self, spec, episodes, tmp_path, monkeypatch):
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
        write(tmp_path / "demos", spec, episodes)
        (tmp_path / "demos").rename(tmp_path / "demos-v0")
        dataset = minari.load_dataset("demos-v0")
        assert dataset.total_episodes == 3
        assert dataset.total_steps == sum(map(len, episodes))
        for original, read in zip(episodes, dataset.iterate_episodes(), strict=True):
            np.testing.assert_array_equal(read.observations["camera"], original.obs["camera"])
            np.testing.assert_array_equal(read.actions, original.action)
            assert read.truncations[-1]

    def test_refuses_a_path_in_use(self, spec, episodes, tmp_path):
        write(tmp_path / "demos", spec, episodes)
        with pytest.raises(UserError, match="exists already"):
            write(tmp_path / "demos", spec, episodes)

    def test_an_interrupted_collection_goes_on(self, spec, episodes, tmp_path):
        path = tmp_path / "demos"
        first = write(path, spec, episodes[:2], finish=False)
        assert not path.exists()
        first.release()  # what the end of its process does
        with h5py.File(first.partial / "data/main_data.hdf5", "r+") as file:
            file.create_group("episode_2")  # a crash in the middle of the third
        second = write(path, spec, episodes)
        assert second.last_seed == episodes[-1].seed
        for original, read in zip(episodes, read_episodes(path), strict=True):
            assert_same(original, read)

    def test_tuples_in_its_description_are_the_lists_of_its_file(self, spec, episodes, tmp_path):
        about = {"env": {"size": (4, 4)}}
        write(tmp_path / "demos", spec, episodes[:2], about=about, finish=False).release()
        second = write(tmp_path / "demos", spec, episodes[:0], about=about, finish=False)
        assert len(second) == 2

    def test_an_episode_that_cannot_be_written_may_be_left_out(self, spec, episodes, tmp_path):
        def damaged():
            raise OSError("the camera's file is damaged")
            yield

        writer = write(tmp_path / "demos", spec, episodes[:1], finish=False)
        frames = StreamedFrames(tmp_path, episodes[1].obs["camera"].shape, damaged)
        with pytest.raises(UserError, match="the camera's file is damaged"):
            writer.append(replace(episodes[1], obs={**episodes[1].obs, "camera": frames}))
        writer.append(episodes[2])
        writer.close()
        for first, second in zip(read_episodes(tmp_path / "demos"), episodes[::2], strict=True):
            assert_same(first, second)

    def test_another_collection_is_not_continued(self, spec, episodes, tmp_path):
        write(tmp_path / "demos", spec, episodes[:2], about={"env": "a"}, finish=False).release()
        with pytest.raises(
            UserError, match="it has 2 episodes of other spaces, or made otherwise; move"
        ):
            write(tmp_path / "demos", spec, episodes[1:], about={"env": "b"})
        assert len(write(tmp_path / "demos", spec, [], about={"env": "a"}, finish=False)) == 2
        write(tmp_path / "demos", spec, episodes[1:], about={"env": "b"}, replace=True)
        assert len(list(read_episodes(tmp_path / "demos"))) == 2

    def test_recordings_are_not_replaced_by_what_can_be_made_again(self, spec, episodes, tmp_path):
        for about in (None, {"robot": "left"}):
            write(tmp_path / "demos", spec, episodes[:2], about=about, finish=False).release()
            with pytest.raises(UserError, match="cannot be continued: it has 2 episodes"):
                write(tmp_path / "demos", spec, episodes, about={"env": "b"}, replace=True)
            assert len(write(tmp_path / "demos", spec, [], about=about, finish=False)) == 2
            shutil.rmtree(tmp_path / "demos.partial")

    def test_an_episode_that_was_given_up_is_no_part_of_the_data(self, spec, episodes, tmp_path):
        writer = write(tmp_path / "demos", spec, episodes[:1], finish=False)
        with pytest.raises(TypeError, match="int64"):
            writer.append(replace(episodes[1], text={"operator": np.int64(7)}))
        with h5py.File(writer.partial / "data/main_data.hdf5", "r+") as file:
            file.create_group("episode_1")  # what an interrupt leaves
        writer.close()
        (found,) = read_episodes(tmp_path / "demos")
        assert_same(found, episodes[0])

    def test_a_damaged_attempt_is_left_as_it_is(self, spec, episodes, tmp_path):
        write(tmp_path / "demos", spec, episodes[:2], finish=False).release()
        file = tmp_path / "demos.partial/data/main_data.hdf5"
        damaged = file.read_bytes()[:-100]
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be continued.*truncated.*move it away"):
            write(tmp_path / "demos", spec, episodes)
        assert file.read_bytes() == damaged

    def test_a_reader_does_not_cost_an_episode(self, spec, episodes, tmp_path):
        writer = write(tmp_path / "demos", spec, episodes[:1], finish=False)
        file = tmp_path / "demos.partial/data/main_data.hdf5"
        reading = (
            f"import h5py; f = h5py.File({str(file)!r}, 'r'); print('open', flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", reading], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as reader:
            reader.stdout.readline()
            with pytest.raises(UserError, match="another program may be reading.*1 episodes"):
                writer.append(episodes[1])
            writer.release()
            with pytest.raises(UserError, match="cannot be continued"):
                write(tmp_path / "demos", spec, episodes, replace=True)
            reader.communicate(b"\n")
        write(tmp_path / "demos", spec, episodes[:2])
        assert len(list(read_episodes(tmp_path / "demos"))) == 2

    def test_what_readers_would_refuse_is_not_begun(self, tmp_path):
        for shape, dtype in (((3, 48, 64), np.uint8), ((48, 64), np.uint8), ((48, 64), np.float32)):
            camera = spaces.Box(0, 255, shape, dtype)
            with pytest.raises(UserError, match="'camera' has shape"):
                DemonstrationWriter(
                    tmp_path / "demos",
                    observation_space=spaces.Dict({"camera": camera}),
                    action_space=spaces.Box(-1, 1, (2,)),
                )
        assert not (tmp_path / "demos.partial").exists()

    def test_two_collections_at_once(self, spec, episodes, tmp_path):
        first = write(tmp_path / "demos", spec, episodes[:1], finish=False)
        with pytest.raises(UserError, match="being collected by another process"):
            write(tmp_path / "demos", spec, episodes)
        assert len(first) == 1

    def test_one_that_waits_finds_what_the_other_has_written(
        self, spec, episodes, tmp_path, monkeypatch
    ):
        path = tmp_path / "demos"
        first = write(path, spec, episodes[:2], finish=False)
        told = threading.Event()
        monkeypatch.setattr("builtins.print", lambda *_, **__: told.set())
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(write, path, spec, episodes, wait=True)
            assert told.wait(10)
            assert not second.done()
            first.close()
            with pytest.raises(FinishedElsewhere):
                second.result(10)
        assert len(list(read_episodes(path))) == 2

    def test_one_that_waits_goes_on_where_the_other_was_stopped(self, spec, episodes, tmp_path):
        path = tmp_path / "demos"
        first = write(path, spec, episodes[:1], finish=False)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(write, path, spec, episodes, wait=True)
            first.release()
            second.result(10)
        assert len(list(read_episodes(path))) == len(episodes)

    def test_fewer_than_an_earlier_attempt_has_left(self, spec, episodes, tmp_path):
        path = tmp_path / "demos"
        write(path, spec, episodes, finish=False).release()
        writer = write(path, spec, [], finish=False)
        writer.keep_first(1)
        writer.close()
        (only,) = read_episodes(path)
        assert_same(only, episodes[0])

    def test_a_path_that_cannot_be_written(self, spec, episodes, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match="cannot write .*file/demos: Not a directory"):
            write(tmp_path / "file/demos", spec, episodes)

    def test_a_full_disk_is_one_line_and_loses_nothing(self, spec, episodes, tmp_path, monkeypatch):
        writer = write(tmp_path / "demos", spec, episodes[:1], finish=False)
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(UserError, match="the disk is full; 1 episodes are kept"):
            writer.append(episodes[1])

    def test_images_are_compressed_frame_by_frame(self, spec, episodes, tmp_path):
        write(tmp_path / "demos", spec, episodes)
        with h5py.File(tmp_path / "demos/data/main_data.hdf5") as file:
            camera = file["episode_0/observations/camera"]
            assert camera.chunks == (1, 12, 16, 3)
            assert camera.compression == "gzip"
