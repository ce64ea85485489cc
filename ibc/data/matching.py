"""Hold demonstrations against an environment: names, shapes, and limits of actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.spec import ObsField

#: Without an environment, the limits of actions are their range in the data and this part of it on either side.
ACTION_MARGIN = 0.1
#: Part of all action numbers that may lie outside of the environment's limits; more means other units.
MAX_OUTSIDE = 0.5


def fields_of(episode: Episode) -> dict[str, ObsField]:
    """Shape and type of each observation."""
    return {n: ObsField(array.shape[1:], str(array.dtype)) for n, array in episode.obs.items()}


def check_matches(episodes: Sequence[Episode], env: Environment) -> None:
    """Hold the data against the environment.

    Single numbers beyond the action space are clipped later; where most are, the units are others. Human demonstrations
    of the door leave it in four steps of five, by a third of its range at most.

    Raises:
        UserError: naming the observation or the action dimension in which they differ.
    """
    for name, field in fields_of(episodes[0]).items():
        expected = env.obs_fields.get(name)
        if expected is None:
            raise UserError(
                f"the data has an observation '{name}', {env.config.id} has "
                f"{', '.join(env.obs_fields)}; choose with data.obs_names"
            )
        if field != expected:
            raise UserError(
                f"observation '{name}' is {field.dtype} {field.shape} in the data and "
                f"{expected.dtype} {expected.shape} in {env.config.id}"
            )
    action_dim = episodes[0].action.shape[1]
    if action_dim != len(env.action_low):
        raise UserError(
            f"the data has {action_dim}-D actions, {env.config.id} takes {len(env.action_low)}-D"
        )
    action = np.concatenate([episode.action for episode in episodes])
    margin = 1e-3 * np.maximum(1.0, np.abs(action))  # rounding
    outside = (action < env.action_low - margin) | (action > env.action_high + margin)
    if outside.mean() > MAX_OUTSIDE:
        raise UserError(
            f"{outside.mean():.0%} of the data's actions, from {action.min():.3g} to {action.max():.3g}, are outside "
            f"{env.config.id}'s {env.action_low.min():.3g} to {env.action_high.max():.3g}: other units?"
        )


def find_limits(
    episodes: Sequence[Episode],
    env: Environment | None,
    given: tuple[Sequence[float], Sequence[float]] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The limits of actions: given, of the environment, or their range in the data with a margin."""
    size = episodes[0].action.shape[1]
    if given is not None:
        low, high = (np.broadcast_to(np.asarray(side, np.float32), (size,)) for side in given)
        if not (low < high).all():
            raise UserError(f"data.action_limits={given}; the lower must be below the upper")
        return low, high
    if env is not None:
        return env.action_low, env.action_high
    action = np.concatenate([episode.action for episode in episodes])
    low, high = action.min(0), action.max(0)
    margin = ACTION_MARGIN * (high - low)
    return low - margin, high + margin
