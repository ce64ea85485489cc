"""Demonstrations: checks, the store, readers of other formats, damaged files, windows."""

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
import torch
from conftest import random_episode
from gymnasium import spaces

from ibc.data import (
    DemonstrationWriter,
    Episode,
    InvalidEpisode,
    ShuffledIndices,
    WindowDataset,
    read_episodes,
)
from ibc.data.dataset import window_index
from ibc.data.loading import load_split
from ibc.data.selection import Selection
from ibc.data.store import FinishedElsewhere
from ibc.data.streamed_frames import StreamedFrames
from ibc.errors import UserError

CPU = torch.device("cpu")


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


class TestEpisode:
    def parts(self, **changes):
        good = {
            "obs": {"state": np.zeros((4, 2), np.float32)},
            "action": np.zeros((3, 1), np.float32),
            "reward": np.zeros(3, np.float32),
            "success": np.zeros(3, np.bool_),
            "terminated": False,
            "truncated": True,
        }
        return {**good, **changes}

    def test_good(self):
        assert len(Episode(**self.parts())) == 3

    def test_recorded(self):
        """An observation and an action a moment; pictures stay bytes, all else becomes float32."""
        obs = {"joints": [[1.0, 2.0], [3.0, 4.0]], "front": np.full((2, 4, 4, 3), 9, np.uint8)}
        episode = Episode.recorded(obs, [[0.5], [0.25]], success=True, text={"task": "reach"})
        np.testing.assert_array_equal(episode.obs["joints"], [[1, 2], [3, 4], [3, 4]])
        assert episode.obs["front"].shape == (3, 4, 4, 3)
        assert (episode.obs["joints"].dtype, episode.obs["front"].dtype) == (np.float32, np.uint8)
        assert episode.success.tolist() == [False, True]
        assert episode.reward.tolist() == [0, 1]

    def test_recorded_at_different_moments(self):
        with pytest.raises(InvalidEpisode, match="'joints' has 3 entries, the action 2"):
            Episode.recorded({"joints": np.zeros((3, 2))}, np.zeros((2, 1)))

    @pytest.mark.parametrize("values", [3.0, ["open", "shut"], [None, None]])
    def test_what_is_no_numbers_is_named(self, values):
        with pytest.raises(InvalidEpisode, match="observation 'gripper' is .*expected numbers"):
            Episode.recorded({"gripper": values}, np.zeros((2, 1)))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"action": np.zeros((0, 1), np.float32)}, "no steps"),
            ({"obs": {}}, "no observations"),
            ({"obs": {"state": np.zeros((3, 2), np.float32)}}, "'state' has 3 entries, expected 4"),
            ({"reward": np.zeros(2, np.float32)}, "reward has 2 entries, expected 3"),
            ({"action": np.zeros(3, np.float32)}, "action has 1 dimensions, expected 2"),
            ({"action": np.full((3, 1), np.nan, np.float32)}, "not finite at step 0"),
            ({"success": np.zeros(2, np.bool_)}, "success is bool"),
            ({"action": np.zeros((3, 1), np.float16)}, "action is float16"),
        ],
    )
    def test_bad(self, changes, message):
        # Checked without the type checker of the tests, which would complain before the constructor does.
        post_init = Episode.__post_init__
        episode = object.__new__(Episode)
        episode.__dict__.update(self.parts(**changes))
        with pytest.raises(InvalidEpisode, match=message):
            post_init(episode)


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
            reader.communicate(b"\n")
        writer.append(episodes[1])
        writer.close()
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


def write_d4rl(path, lengths=(4, 6), **changes):
    total = sum(lengths)
    rng = np.random.default_rng(0)
    ends = np.zeros(total, np.bool_)
    ends[np.cumsum(lengths) - 1] = True
    arrays = {
        "observations": rng.normal(size=(total, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (total, 2)).astype(np.float32),
        "rewards": rng.normal(size=total).astype(np.float32),
        "terminals": np.zeros(total, np.bool_),
        "timeouts": ends,
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
    return arrays


class TestD4RL:
    def test_cuts_at_the_ends(self, tmp_path):
        arrays = write_d4rl(tmp_path / "x.hdf5")
        first, second = read_episodes(tmp_path / "x.hdf5")
        assert (len(first), len(second)) == (4, 6)
        np.testing.assert_array_equal(first.obs["state"][:4], arrays["observations"][:4])
        np.testing.assert_array_equal(first.obs["state"][4], arrays["observations"][3])
        np.testing.assert_array_equal(second.action, arrays["actions"][4:])
        assert first.truncated
        assert not first.terminated

    def test_a_recording_that_just_stops(self, tmp_path):
        ends = np.array([0, 0, 1, 0, 0], np.bool_)
        write_d4rl(tmp_path / "x.hdf5", lengths=(5,), terminals=ends, timeouts=ends & False)
        first, last = read_episodes(tmp_path / "x.hdf5")
        assert first.terminated
        assert (len(last), last.terminated, last.truncated) == (2, False, False)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"actions": None}, "lacks actions"),
            ({"rewards": np.zeros(3)}, "different lengths"),
            ({"actions": np.full((10, 2), np.nan)}, "episode 0: action is not finite"),
            ({"timeouts": np.zeros(10, np.bool_)}, "no end of an episode"),
            ({"observations": np.array([b"x"] * 10)}, "expected numbers"),
        ],
    )
    def test_damage_is_named(self, tmp_path, changes, message):
        write_d4rl(tmp_path / "x.hdf5", **changes)
        with pytest.raises(UserError, match=message):
            list(read_episodes(tmp_path / "x.hdf5"))


class TestDamagedFiles:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(UserError, match="no demonstrations at"):
            list(read_episodes(tmp_path / "none"))

    def test_unknown_format(self, tmp_path):
        (tmp_path / "x.csv").write_text("a,b\n")
        with pytest.raises(UserError, match="d4rl, ibc_tfrecord, lerobot, minari"):
            list(read_episodes(tmp_path / "x.csv"))


class TestWindows:
    def test_padding(self, spec, episodes):
        dataset = WindowDataset(episodes, spec, CPU)
        assert len(dataset) == 5 + 9 + 7
        first_of_second = dataset.batch(torch.tensor([5]))
        goal = torch.from_numpy(episodes[1].obs["goal"])
        torch.testing.assert_close(first_of_second.obs["goal"][0], goal[[0, 0]])
        torch.testing.assert_close(dataset.batch(torch.tensor([7])).obs["goal"][0], goal[[1, 2]])
        action = torch.from_numpy(episodes[1].action)
        last = dataset.batch(torch.tensor([5 + 8])).action.view(3, 2)
        torch.testing.assert_close(last, action[[8, 8, 8]])
        middle = dataset.batch(torch.tensor([5 + 3])).action.view(3, 2)
        torch.testing.assert_close(middle, action[[3, 4, 5]])

    def test_images_stay_bytes(self, spec, episodes):
        batch = WindowDataset(episodes, spec, CPU).batch(torch.tensor([0]))
        assert batch.obs["camera"].dtype == torch.uint8
        assert batch.obs["camera"].shape == (1, 2, 12, 16, 3)

    def test_actions_beyond_the_action_space_are_clipped_and_counted(self, spec, episodes):
        episodes[0].action[2, 0] = 9.0
        dataset = WindowDataset(episodes, spec, CPU)
        assert dataset.num_clipped == 1
        assert dataset.actions().max() <= 2.0

    @pytest.mark.parametrize("limits", [([-1] * 3, [1] * 3), ([-1, -1],), 5, ("low", "high")])
    def test_limits_that_do_not_fit_the_actions(self, limits, tmp_path, monkeypatch):
        monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
        path = tmp_path / "x.npz"
        np.savez(path, action=np.ones((4, 2)), state=np.ones((4, 2)))
        with pytest.raises(UserError, match="each a number or a list of 2"):
            load_split(path, action_limits=limits)

    def test_a_number_of_episodes_that_is_none(self):
        """-1 would leave the last one out."""
        with pytest.raises(UserError, match="data.num_episodes=-1; it must be at least 1"):
            Selection(num_episodes=-1)

    def test_window_index(self):
        assert window_index(np.array([0, 1, 5]), 3).tolist() == [[0, 0, 0], [0, 0, 1], [3, 4, 5]]


class TestKeyframes:
    def dataset(self, spec, actions):
        episodes = []
        for number, values in enumerate(actions):
            episode = random_episode(spec, len(values), number)
            episode.action[:] = np.array(values, np.float32)[:, None]
            episodes.append(episode)
        return WindowDataset(episodes, spec, CPU)

    def test_jumps_within_an_episode_only(self, spec):
        dataset = self.dataset(spec, [[0, 0, 1, 1], [-1, -1, -0.95, 0.5]])
        assert dataset.keyframes().tolist() == [2, 7]

    def test_are_shown_more_often(self):
        indices = ShuffledIndices(10, 14, seed=0, oversample=torch.tensor([3, 7]), repeats=2)
        counts = torch.bincount(indices(5), minlength=10)
        assert counts.tolist() == [1, 1, 1, 3, 1, 1, 1, 3, 1, 1]


class TestOrder:
    def test_each_epoch_is_a_permutation(self):
        indices = ShuffledIndices(10, 4, seed=0)
        stream = torch.cat([indices(step) for step in range(5)])
        assert sorted(stream[:10].tolist()) == list(range(10))
        assert sorted(stream[10:].tolist()) == list(range(10))
        assert stream[:10].tolist() != stream[10:].tolist()

    def test_is_a_function_of_seed_and_step(self):
        one, two = ShuffledIndices(100, 7, seed=1), ShuffledIndices(100, 7, seed=1)
        for step in range(40):
            one(step)
        assert torch.equal(one(3), two(3))
        assert not torch.equal(one(3), ShuffledIndices(100, 7, seed=2)(3))

    def test_batches_larger_than_the_data(self):
        batch = ShuffledIndices(3, 8, seed=0)(0)
        assert torch.bincount(batch).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])
