"""Intervals of means over several training seeds, whose episodes are not independent of each other."""

import math
from collections.abc import Sequence

import numpy as np

from ibc.evaluation.metrics import mean_interval, wilson_interval

Interval = tuple[float, float]
#: Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def over_seeds(by_seed: Sequence[float], within: Interval) -> Interval:
    """95 % interval of a mean over training seeds: the wider of two, on each side.

    One is Student's t over the means of the seeds, which takes each training run as one draw. The other, ``within``,
    pools the episodes of these runs; it keeps the first from being narrow where few runs agree by chance. With one
    training seed it stands alone, and says nothing about other runs.

    Raises:
        ValueError: no seed, or more than the table of quantiles has.
    """
    if not 1 <= len(by_seed) <= len(T95) + 1:
        raise ValueError(f"{len(by_seed)} training seeds; 1 to {len(T95) + 1} are allowed")
    if len(by_seed) == 1:
        return within
    mean = float(np.mean(by_seed))
    std = float(np.std(by_seed, ddof=1))
    half = T95[len(by_seed) - 2] * std / math.sqrt(len(by_seed))
    return min(mean - half, within[0]), max(mean + half, within[1])


def rate_interval(by_seed: Sequence[float], successes: int, trials: int) -> Interval:
    """95 % interval of a success rate over training seeds, between 0 and 1 (:func:`over_seeds`).

    Args:
        by_seed: the rate of each training seed.
        successes: of all their episodes.
        trials: all their episodes.
    """
    low, high = over_seeds(by_seed, wilson_interval(successes, trials))
    return max(low, 0.0), min(high, 1.0)


def number_interval(by_seed: Sequence[Sequence[float]]) -> Interval:
    """95 % interval of the mean of a number, from its values in the episodes of each training seed."""
    return over_seeds(
        [float(np.mean(values)) for values in by_seed],
        mean_interval([value for values in by_seed for value in values]),
    )


def rate(name: str, count: int, trials: int) -> dict[str, object]:
    """A proportion of independent trials with its 95 % Wilson interval, as entries of a result's row."""
    return {
        f"{name}_rate": count / trials,
        f"{name}_rate_ci95": list(wilson_interval(count, trials)),
        "num_episodes": trials,
    }
