"""A try of the environment before training, so that what cannot work in closed loop is known then, not after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ibc.cli.config import Config
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError


def try_environment(config: Config) -> Environment:
    """The environment after a reset, a step and, where a video is wanted, an image.

    What cannot work in closed loop is known before training, not after.
    """
    env_config = EnvConfig.from_mapping(config["env"])
    try:
        env = Environment(env_config, render=config["video"])
    except UserError as error:
        if config["video"]:
            Environment(env_config).close()  # fails alike unless pictures are the trouble
            raise UserError(f"{error} (video=false needs no images)") from error
        raise
    env.reset(config["evaluation"]["first_seed"])
    env.step(middle_action(env))
    if config["video"]:
        env.render()
    return env


def middle_action(env: Environment) -> NDArray[np.float32]:
    """An action in the middle of the action space."""
    action: NDArray[np.float32] = (env.action_low.clip(-1e3) + env.action_high.clip(None, 1e3)) / 2
    return action


def try_figures(env: Environment, seed: int) -> None:
    """Look for success and ``env.report`` where an evaluation will read them, to an episode's end if need be.

    Raises:
        UserError: the environment does not tell them.
    """
    env.reset(seed)
    over = False
    while not over:
        *_, terminated, truncated = env.step(middle_action(env))
        over = terminated or truncated or env.tells_everything()  # some tell at the end only
    env.report()
