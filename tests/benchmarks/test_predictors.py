"""Which measure predicts success: the correlation, and what is made of it."""

import pytest

from benchmarks import predictors


def rows(*pairs):
    return [
        {"task": "block_push", "policy": "mse", "held_out/action_error": error, predictors.SUCCESS: success}
        for error, success in pairs
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 1000], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486833),  # ranks 1, 2.5, 2.5, 4
    ],
)
def test_rank_correlation(first, second, expected):
    assert predictors.rank_correlation(first, second) == pytest.approx(expected)


def test_a_run_that_never_changes_has_no_correlation():
    found = predictors.correlations(rows((0.1, 0.5), (0.2, 0.5)))
    (own,) = (row for row in found if (row["task"], row["policy"]) == ("block_push", "mse"))
    assert own["correlation"] == {"held_out/action_error": None}


def test_table_and_picture():
    every = rows((0.3, 0.1), (0.2, 0.4), (0.1, 0.9))
    result = {"correlations": predictors.correlations(every), "command": "command"}
    assert "| block push | mse |  | -1.00 |" in "\n".join(predictors.predictor_table(result))
    assert len(predictors.picture(every).axes) == len(predictors.TASKS) * 3
