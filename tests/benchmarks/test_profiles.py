"""Profiles and means over tasks, by hand."""

import numpy as np
import pytest
from conftest import ROOT

from benchmarks.pages.profiles import FILES, SEEDS, at_least, drawn, interquartile_mean, rates


def test_a_profile_counts_the_runs_at_or_above_a_level():
    runs = np.array([[0.2, 0.5, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]])
    found = at_least(runs, np.array([0.0, 0.2, 0.3, 0.5, 1.0]))
    np.testing.assert_allclose(found, [[1, 1, 0.75, 0.75, 0.25], [1, 0, 0, 0, 0]])


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end():
    assert interquartile_mean(np.array([9.0, 2.0, 3.0, -50.0])) == pytest.approx(2.5)


def test_draws_stay_within_their_task():
    runs = np.array([[0.1, 0.2, 0.3], [0.7, 0.8, 0.9]])
    many = drawn(runs, np.random.default_rng(0))
    assert (many[:, :3] < 0.5).all()
    assert (many[:, 3:] > 0.5).all()
    assert len(np.unique(many, axis=0)) == 27 * 27


def test_every_file_has_all_policies():
    assert {one.shape for one in rates(ROOT / "results").values()} == {(len(FILES), SEEDS)}
