"""Compare two policies on the same evaluation seeds: paired differences, their intervals and tests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ibc.errors import UserError

#: Bootstrap samples, and the seed from which they are drawn.
NUM_RESAMPLES, BOOTSTRAP_SEED = 10_000, 0
#: Probability with which an interval misses the true difference.
ALPHA = 0.05
#: Pairs below which the asymptotic confidence sequence is far from its level.
FEWEST_PAIRS = 10


@dataclass(frozen=True)
class Comparison:
    """The measure of two policies on the same evaluation seeds, second minus first.

    Attributes:
        measure: ``success``, ``return``, or a number that the environment reports of each episode.
        num_seeds: evaluation seeds.
        num_runs: training seeds of the first and of the second policy.
        first, second: mean of the measure.
        difference: ``second - first``.
        interval: 95 % interval of the difference, by a bootstrap over training seeds and evaluation seeds.
        only_first, only_second: episodes in which only one of the two succeeded; None unless the measure is success
            and each policy was trained once.
        mcnemar_p: two-sided exact p-value of these two counts being drawn from a fair coin (McNemar 1947), or None.
        task_differences: settings of the environment that are not the same in all evaluations, with their values.
    """

    measure: str
    num_seeds: int
    num_runs: tuple[int, int]
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    only_first: int | None = None
    only_second: int | None = None
    mcnemar_p: float | None = None
    task_differences: Sequence[str] = ()

    def verdict(self, margin: float = 0.0) -> str:
        """Return ``better`` or ``worse`` for the second policy where the interval says so, else ``undecided``.

        Args:
            margin: a loss that is accepted: the second policy is worse only where it surely loses more.
        """
        low, high = self.interval
        if high < -margin:
            return "worse"
        return "better" if low > 0 else "undecided"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready to be written as JSON, which has no infinite numbers: None where one is."""
        bounds = [bound if math.isfinite(bound) else None for bound in self.interval]
        return {**asdict(self), "interval": bounds}


def check_same_task(evaluations: Sequence[Mapping[str, Any]]) -> None:
    """Raises UserError: evaluations are of different environments."""
    tasks = {metrics["env_id"] for metrics in evaluations if "env_id" in metrics}
    if len(tasks) > 1:
        raise UserError(
            f"the evaluations are of different environments: {', '.join(sorted(tasks))}"
        )


def task_differences(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each setting of the environment that is given, and not the same, in evaluations.

    They may be meant (pictures in one, states in the other) or not (particles in 2 and in 16 dimensions). Evaluations
    of before, which do not say them, are left out.
    """
    tasks = [metrics["env"] for metrics in evaluations if "env" in metrics]
    lines = []
    for key in sorted(set().union(*tasks)):
        given = (task[key] for task in tasks if task.get(key) is not None)
        values = list(dict.fromkeys(json.dumps(value) for value in given))
        if len(values) > 1:
            lines.append(f"env.{key}: {', '.join(values)}")
    return lines


def compare_evaluations(
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    measure: str = "success",
) -> Comparison:
    """Compare evaluations of two policies on the seeds that all of them share.

    Args:
        first: metrics of :class:`ibc.evaluation.Evaluation`, one for each training seed.
        second: the same of the other policy.
        measure: see :class:`Comparison`.

    Raises:
        UserError: an evaluation lacks the measure, or they share no seed or no environment.
    """
    check_same_task([*first, *second])
    tables = [[outcomes(metrics, measure) for metrics in side] for side in (first, second)]
    shared = sorted(set.intersection(*(set(rows) for side in tables for rows in side)))
    if not shared:
        raise UserError("the evaluations share no seed; evaluate both with the same first_seed")
    a, b = (np.array([[rows[seed] for seed in shared] for rows in side]) for side in tables)
    counts: dict[str, Any] = {}
    if measure == "success" and len(a) == len(b) == 1:
        only_first, only_second = int((a > b).sum()), int((b > a).sum())
        counts = {
            "only_first": only_first,
            "only_second": only_second,
            "mcnemar_p": mcnemar(only_first, only_second),
        }
    return Comparison(
        measure=measure,
        num_seeds=len(shared),
        num_runs=(len(a), len(b)),
        first=float(a.mean()),
        second=float(b.mean()),
        difference=float(b.mean() - a.mean()),
        interval=bootstrap_interval(a, b),
        task_differences=task_differences([*first, *second]),
        **counts,
    )


def outcomes(metrics: Mapping[str, Any], measure: str) -> dict[int, float]:
    """Return the measure of each episode by its seed.

    Raises:
        UserError: the metrics have no rows of episodes, or the rows lack the measure.
    """
    rows = metrics.get("episodes")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError("not an evaluation of one policy: it has no rows of episodes")
    known = {n for row in rows for n, value in row.items() if isinstance(value, int | float)}
    if measure not in known - {"seed"}:
        allowed = ", ".join(sorted(known - {"seed"}))
        raise UserError(f"measure={measure}; the episodes have {allowed}")
    try:
        return {int(row["seed"]): float(row[measure]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"an episode lacks its seed, or {measure}") from error


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value of two counts under a fair coin: 1 where there is no discordant pair."""
    trials, fewer = only_first + only_second, min(only_first, only_second)
    tail: float = sum(math.comb(trials, k) for k in range(fewer + 1)) / 2**trials
    return min(1.0, 2 * tail)


def bootstrap_interval(
    first: Float[NDArray[np.float64], "R1 N"], second: Float[NDArray[np.float64], "R2 N"]
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the difference of means, second minus first.

    Each resample draws training seeds of each policy (rows) and evaluation seeds (columns, the same for both) with
    replacement, so that neither source of chance is left out. With one training seed, the interval is about that run.
    With two or three that differ much it is too narrow: a few rows seldom show how far apart others are. Of three and
    three runs whose true success differs by 10 points (standard deviation) it covers the true difference in nine of ten
    comparisons instead of 19 of 20, by 20 points in five of six.
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    columns = rng.integers(first.shape[1], size=(NUM_RESAMPLES, first.shape[1]))
    means = []
    for table in (first, second):
        rows = rng.integers(len(table), size=(NUM_RESAMPLES, len(table)))
        weights = np.stack([(rows == row).mean(1) for row in range(len(table))], 1)
        by_run = np.stack([run[columns].mean(1) for run in table], 1)
        means.append((weights * by_run).sum(1))
    low, high = np.quantile(means[1] - means[0], [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def sequence_interval(differences: Sequence[float], planned: int) -> tuple[float, float]:
    """Return an interval of the mean of paired differences that holds at all sample sizes together.

    A search for the answer may therefore stop as soon as the interval excludes zero, which one of fixed size does not
    allow. It is the asymptotic confidence sequence of Waudby-Smith et al. 2024 (theorem 2.2): a normal mixture (Robbins
    1970) with the running standard deviation.

    Args:
        differences: of pairs; infinite bounds where they are all equal, or fewer than ``FEWEST_PAIRS``.
        planned: sample size at which the interval is about as narrow as it can be made.
    """
    count = len(differences)
    std = float(np.std(differences, ddof=1)) if count >= FEWEST_PAIRS else 0.0
    if std == 0.0:
        return -math.inf, math.inf
    log_alpha = -2 * math.log(ALPHA)
    rho2 = (log_alpha + math.log(1 + log_alpha)) / planned
    scale = count * rho2 + 1
    half = std * math.sqrt(scale / (count**2 * rho2) * (log_alpha + math.log(scale)))
    mean = float(np.mean(differences))
    return mean - half, mean + half
