"""Demonstrations: checks, the store, readers of other formats, damaged files, windows."""

import h5py
import numpy as np
import pytest
import torch
from conftest import random_episode

from ibc.data import (
    Episode,
    InvalidEpisode,
    ShuffledIndices,
    WindowDataset,
    read_episodes,
)
from ibc.data.dataset import window_index
from ibc.data.loading import load_split
from ibc.data.selection import Selection
from ibc.errors import UserError

CPU = torch.device("cpu")


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
