"""Demonstrations in another tempo: which observation meets which action, and what is kept."""

import numpy as np
import pytest

from ibc.data import Episode, temporal_subsample


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
