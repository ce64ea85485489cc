"""Figures of an evaluation, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ibc.data.episode import Episode

#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate (Wilson 1927)."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials")
    rate = successes / trials
    z2 = Z95**2 / trials
    center = (rate + z2 / 2) / (1 + z2)
    half = Z95 / (1 + z2) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials))
    low = center - half if successes > 0 else 0.0  # exactly, where rounding would leave a trace
    high = center + half if successes < trials else 1.0
    return low, high


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % normal interval of a mean."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean
    half = Z95 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half


def is_success(episode: Episode, success_when: str) -> bool:
    """Whether an episode counts as solved: at its last step, or at any."""
    return bool(episode.success.any() if success_when == "any" else episode.success[-1])


def summarize(
    episodes: Sequence[Episode], success_when: str, latencies: Sequence[float]
) -> dict[str, Any]:
    """The figures of an evaluation file: rates, intervals, latency, and one row an episode.

    What environments report of their own gets a mean with its interval, too, over the episodes that report it.
    """
    rows = [
        {
            **{k: None if math.isnan(v) else v for k, v in episode.report.items()},
            "seed": episode.seed,
            "success": is_success(episode, success_when),
            "return": episode.episode_return,
            "length": len(episode),
        }
        for episode in episodes
    ]
    solved = sum(bool(row["success"]) for row in rows)
    returns = [episode.episode_return for episode in episodes]
    report = {}
    for name in episodes[0].report:
        told = [episode.report[name] for episode in episodes]
        values = [value for value in told if not math.isnan(value)]
        if values:
            report[name] = {"mean": float(np.mean(values)), "ci95": list(mean_interval(values))}
        if 0 < len(values) < len(rows):
            report[name]["num_episodes"] = len(values)
    milliseconds = 1e3 * np.array(latencies)
    return {
        "success_rate": solved / len(rows),
        "success_rate_ci95": list(wilson_interval(solved, len(rows))),
        "return_mean": float(np.mean(returns)),
        "return_mean_ci95": list(mean_interval(returns)),
        **({"report": report} if report else {}),
        "policy_latency_ms": {
            "median": float(np.median(milliseconds)),
            "p95": float(np.percentile(milliseconds, 95)),
        },
        "episodes": rows,
    }
