"""Which episodes are learned from, and how often: by their returns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ibc.data.episode import Episode
from ibc.errors import UserError

#: An episode of the highest return is shown this many times as often as one with weight 1 / MAX_COPIES.
MAX_COPIES = 8


def keep_best(episodes: Sequence[Episode], fraction: float) -> list[Episode]:
    """The part of the episodes with the highest returns, at least one, in their order.

    Half of them is the return-weighted training of the paper (Florence et al. 2021, table 2, "+RWR").

    Raises:
        UserError: ``fraction`` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise UserError(f"data.keep_best={fraction}; it must be above 0 and at most 1")
    returns = np.array([episode.episode_return for episode in episodes])
    count = math.ceil(fraction * len(episodes))
    best = np.sort(np.argsort(-returns, kind="stable")[:count])
    return [episodes[i] for i in best]


def reweight_by_return(episodes: Sequence[Episode], temperature: float) -> list[Episode]:
    """Episodes in numbers that follow ``exp((return - best) / (temperature * range))``, rounded to eighths.

    Those whose weight rounds to nothing are left out. The range is that of the returns, so the temperature means the
    same on every task: 1 shows the worst 0.37 times as often as the best, 0.25 hardly at all.

    Raises:
        UserError: ``temperature`` is not positive.
    """
    if not temperature > 0:
        raise UserError(f"data.return_temperature={temperature}; it must be positive")
    returns = np.array([episode.episode_return for episode in episodes])
    span = float(np.ptp(returns)) or 1.0
    weight = np.exp((returns - returns.max()) / (temperature * span))
    copies = np.rint(MAX_COPIES * weight).astype(int)
    common = int(np.gcd.reduce(copies))
    return [e for e, n in zip(episodes, copies, strict=True) for _ in range(int(n) // common)]
