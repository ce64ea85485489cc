"""Transforms of episodes: which are learned from, how often, and at which rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode
from ibc.errors import UserError

#: An episode of the highest return is shown this many times as often as one with weight 1 / MAX_COPIES.
MAX_COPIES = 8


def split_episodes(
    episodes: Sequence[Episode], holdout: float
) -> tuple[list[Episode], list[Episode]]:
    """Episodes to learn from, and the part ``holdout`` of them that is held out, at least one if that is above 0.

    Which are held out depends on their number alone.

    Raises:
        UserError: ``holdout`` is not in [0, 1), or nothing would be left to learn from.
    """
    if not 0 <= holdout < 1:
        raise UserError(f"data.holdout={holdout}; it must be at least 0 and below 1")
    count = max(1, round(holdout * len(episodes))) if holdout else 0
    if count >= len(episodes):
        raise UserError(
            f"data.holdout={holdout} leaves none of {len(episodes)} episodes to learn from; data.holdout=0 holds none out"
        )
    chosen = set(np.random.default_rng(0).permutation(len(episodes))[:count].tolist())
    return (
        [e for i, e in enumerate(episodes) if i not in chosen],
        [e for i, e in enumerate(episodes) if i in chosen],
    )


def keep_best(episodes: Sequence[Episode], fraction: float) -> list[Episode]:
    """The part of the episodes with the highest returns, at least one, in their order.

    Half of them is the return-weighted training of the paper (Florence et al. 2021, table 2, "+RWR").

    Raises:
        UserError: ``fraction`` is not in (0, 1], or all returns are the same.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"data.keep_best={fraction}; it must be above 0 and at most 1")
    returns = _returns(episodes, f"data.keep_best={fraction}")
    if fraction < 1 and len(returns) > 1 and not np.ptp(returns):
        raise UserError(
            f"data.keep_best={fraction}; all {len(returns)} episodes have the return {returns[0]:g}"
        )
    count = math.ceil(fraction * len(episodes))
    best = np.sort(np.argsort(-returns, kind="stable")[:count])
    return [episodes[i] for i in best]


def reweight_by_return(episodes: Sequence[Episode], temperature: float) -> list[Episode]:
    """Episodes in numbers that follow ``exp((return - best) / (temperature * range))``, rounded to eighths.

    Those whose weight rounds to nothing are left out. The range is that of the returns, so the temperature means the
    same on every task: 1 shows the worst 0.37 times as often as the best, 0.25 hardly at all.

    Raises:
        UserError: ``temperature`` is not positive, or all returns are zero.
    """
    if not temperature > 0:
        raise UserError(f"data.return_temperature={temperature}; it must be positive")
    returns = _returns(episodes, f"data.return_temperature={temperature}")
    span = float(np.ptp(returns)) or 1.0
    weight = np.exp((returns - returns.max()) / (temperature * span))
    copies = np.rint(MAX_COPIES * weight).astype(int)
    common = int(np.gcd.reduce(copies))
    return [e for e, n in zip(episodes, copies, strict=True) for _ in range(int(n) // common)]


def _returns(episodes: Sequence[Episode], asked: str) -> NDArray[np.float64]:
    returns = np.array([episode.episode_return for episode in episodes])
    if len(returns) > 1 and not returns.any():
        raise UserError(f"{asked}; all {len(returns)} episodes have the return 0")
    return returns


def temporal_subsample(episode: Episode, factor: int) -> list[Episode]:
    """The same episode with ``factor`` recorded steps made into one, once for each phase at which one can begin.

    A policy trained on these needs T / factor steps where the demonstrator took T. For actions that are *set-points*:
    the last command of a span stands for the whole span (displacements would have to be added up). Rewards are summed,
    so that a return keeps its meaning; a remainder at the end that does not fill a step is left out.
    """
    if factor < 1:
        raise ValueError(f"factor={factor}; it must be at least 1")
    episodes = []
    for phase in range(min(factor, len(episode) - factor + 1)):
        steps = (len(episode) - phase) // factor
        span = slice(phase, phase + steps * factor)
        complete = span.stop == len(episode)
        episodes.append(
            Episode(
                obs={n: o[phase : span.stop + 1 : factor] for n, o in episode.obs.items()},
                action=episode.action[span].reshape(steps, factor, -1)[:, -1],
                reward=episode.reward[span].reshape(steps, factor).sum(1),
                success=episode.success[span].reshape(steps, factor)[:, -1],
                terminated=episode.terminated and complete,
                truncated=episode.truncated and complete,
                seed=episode.seed,
                text=episode.text,
            )
        )
    return episodes
