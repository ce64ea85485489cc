"""Demonstrations in another tempo."""

from __future__ import annotations

from ibc.data.episode import Episode


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
            )
        )
    return episodes
