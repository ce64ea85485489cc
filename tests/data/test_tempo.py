"""Demonstrations in another tempo: which observation meets which action, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest

from ibc.data import Episode, loading, read_episodes, temporal_subsample
from ibc.data.loading import load_split
from ibc.data.selection import Selection
from ibc.data.transforms import keep_best, reweight_by_return
from ibc.errors import UserError


def numbered(steps, terminated=True):
    """Observation t is t, action t is 10 t, reward t is t."""
    t = np.arange(steps, dtype=np.float32)
    return Episode(
        obs={"state": np.arange(steps + 1, dtype=np.float32)[:, None]},
        action=10 * t[:, None],
        reward=t,
        success=t == steps - 1,
        terminated=terminated,
        truncated=False,
        seed=3,
    )


def test_once_is_the_episode_itself():
    (same,) = temporal_subsample(numbered(5), 1)
    np.testing.assert_array_equal(same.obs["state"], numbered(5).obs["state"])
    np.testing.assert_array_equal(same.action, numbered(5).action)


def test_twice():
    even, odd = temporal_subsample(numbered(7), 2)
    np.testing.assert_array_equal(even.obs["state"][:, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(even.action[:, 0], [10, 30, 50])  # the last command of each span
    np.testing.assert_array_equal(odd.obs["state"][:, 0], [1, 3, 5, 7])
    np.testing.assert_array_equal(odd.action[:, 0], [20, 40, 60])
    assert even.episode_return == 0 + 1 + 2 + 3 + 4 + 5
    assert odd.episode_return == 1 + 2 + 3 + 4 + 5 + 6
    assert (even.terminated, odd.terminated) == (False, True)  # only one reaches the end
    assert odd.success[-1]
    assert even.seed == odd.seed == 3


@pytest.mark.parametrize(("steps", "factor", "count"), [(5, 3, 3), (3, 3, 1), (4, 3, 2), (2, 3, 0)])
def test_every_phase_that_fills_a_step(steps, factor, count):
    assert len(temporal_subsample(numbered(steps), factor)) == count


def test_less_than_once_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        temporal_subsample(numbered(5), 0)


def saved(folder, lengths):
    """Episodes of these lengths, of a number that is also the action, without rewards."""
    folder.mkdir()
    for number, length in enumerate(lengths):
        values = np.arange(length, dtype=np.float32)[:, None]
        np.savez(folder / f"{number}.npz", state=values, action=values)
    return folder


def test_episodes_that_are_too_short_are_counted(tmp_path, capsys, monkeypatch):
    path = saved(tmp_path / "data", [3, 3, 50, 60])
    dataset, _ = load_split(path, selection=Selection(frame_skip=5))
    assert "2 of 4 episodes are shorter than data.frame_skip=5" in capsys.readouterr().out
    assert len(dataset) > 0
    monkeypatch.setattr(loading, "split_episodes", lambda every, _: (every[2:], every[:2]))
    with pytest.raises(UserError, match="frame_skip=5 leaves no held-out step"):
        load_split(path, selection=Selection(frame_skip=5))


@pytest.mark.parametrize("change", [{"keep_best": 0.5}, {"return_temperature": 0.5}])
def test_without_rewards_nothing_is_chosen(change, tmp_path):
    path = saved(tmp_path / "data", [9, 9, 9])
    with pytest.raises(UserError, match="all 3 episodes have the return 0"):
        load_split(path, selection=Selection(**change))


def test_the_best_of_equals_are_not_chosen(tmp_path):
    episodes = list(read_episodes(saved(tmp_path / "data", [9, 9, 9])))
    equal = [replace(e, reward=np.ones(len(e), np.float32)) for e in episodes]
    with pytest.raises(UserError, match="keep_best=0.5; all 3 episodes have the return 9"):
        keep_best(equal, 0.5)
    assert keep_best(equal, 1.0) == equal
    assert len(reweight_by_return(equal, 0.5)) == 3
