"""Demonstrations for the commands: collect them with an expert, load them, hold them against the environment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ibc.cli.config import Config, at_least, build
from ibc.d4rl.data import NoDataError
from ibc.data import DemonstrationWriter, Episode, read_episodes
from ibc.data.layouts import fit_layout
from ibc.environment import EnvConfig, Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout
from ibc.spec import ObsField, Spec
from ibc.training.loggers import track

#: Experts act on single observations.
EXPERT_OBS_HORIZON = 1


def collect(config: Config) -> None:
    """The command: store ``num_episodes`` successful episodes of the environment's expert."""
    at_least(config, num_episodes=1, first_seed=0, num_envs=1)
    path = Path(config["data"]["path"])
    collect_demonstrations(
        config["env"],
        path,
        num_episodes=config["num_episodes"],
        first_seed=config["first_seed"],
        num_envs=config["num_envs"],
    )
    print(f"demonstrations: {path}")


def collect_demonstrations(
    env: dict[str, Any], path: Path, *, num_episodes: int, first_seed: int, num_envs: int
) -> None:
    """Roll the expert out on consecutive seeds until enough episodes have succeeded.

    An interrupted collection goes on where it stopped. What ``env.collection`` says of the environment holds here and
    not in evaluation: demonstrations may have to be more exact than what counts as success.

    Raises:
        UserError: the environment has no expert, or ``path`` exists.
    """
    if env.get("expert") is None:
        raise UserError(
            f"environment {env['id']} has no expert; give demonstrations by data.path=..."
        )
    env = {**env, **(env.get("collection") or {})}
    env_config = EnvConfig.from_mapping(env)
    envs = [Environment(env_config) for _ in range(min(num_envs, num_episodes))]
    writer = DemonstrationWriter(
        path,
        env_id=env_config.id,
        observation_space=envs[0].observation_space,
        action_space=envs[0].gym_env.action_space,
        about={"env": env, "first_seed": first_seed},
    )
    expert = build(env["expert"], "env.expert")
    failures = 0
    next_seed = writer.last_seed + 1 if writer.last_seed is not None else first_seed
    wanted = num_episodes - len(writer)
    seeds = range(next_seed, next_seed + 10 * wanted + 100)
    episodes = rollout(envs, expert, seeds, obs_horizon=EXPERT_OBS_HORIZON)

    def successes() -> Any:
        nonlocal failures
        for episode in episodes:
            if is_success(episode, env_config.success_when):
                yield episode
            else:
                failures += 1

    if wanted > 0:
        for episode, _ in zip(
            track(successes(), "collecting", wanted, "episode"), range(wanted), strict=False
        ):
            writer.append(episode)
    if len(writer) < num_episodes:
        raise UserError(f"the expert of {env_config.id} fails too often: {failures} failures")
    writer.close()
    for one in envs:
        one.close()
    print(f"{num_episodes} episodes stored, {failures} failures of the expert left out")


def find_data(path: Path, search: Sequence[str]) -> Path:
    """The path itself, or where it is found below one of the ``search`` folders.

    Raises:
        NoDataError: it is in none of them.
    """
    if path.is_absolute() or path.exists():
        return path
    places = [Path(folder).expanduser() for folder in search]
    for place in places:
        if (place / path).exists():
            return place / path
    raise NoDataError(
        f"no demonstrations at {path}; looked in {', '.join(str(p) for p in [Path(), *places])}"
    )


def load_demonstrations(
    path: Path,
    obs_names: Sequence[str] | None,
    env: Environment,
    *,
    episode_length: int | None = None,
) -> list[Episode]:
    """All episodes, laid out as the environment's, with the observations of ``obs_names`` alone (None: all of them).

    Raises:
        UserError: the data cannot be read, has no such observation, or differs in shape between episodes.
    """
    episodes = list(read_episodes(path, episode_length=episode_length))
    first = _shapes(episodes[0])
    for number, episode in enumerate(episodes):
        if _shapes(episode) != first:
            raise UserError(
                f"{path}, episode {number}: shapes {_shapes(episode)} differ from {first} before"
            )
    episodes = fit_layout(episodes, env.obs_fields, env.config.id)
    if obs_names is None:
        return episodes
    if not obs_names:
        raise UserError(f"data.obs_names is empty; {path} has {', '.join(episodes[0].obs)}")
    unknown = sorted(set(obs_names) - set(episodes[0].obs))
    if unknown:
        raise UserError(
            f"{path} has no observation {', '.join(unknown)}; it has {', '.join(episodes[0].obs)}"
        )
    return [replace(e, obs={name: e.obs[name] for name in obs_names}) for e in episodes]


def make_spec(
    episodes: Sequence[Episode], env: Environment, *, obs_horizon: int, action_horizon: int
) -> Spec:
    """The specification of a task, after holding the data against the environment.

    Raises:
        UserError: naming the observation or the action dimension in which they differ.
    """
    sample = episodes[0]
    for name, array in sample.obs.items():
        field = ObsField(array.shape[1:], str(array.dtype))
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
    action_dim = sample.action.shape[1]
    if action_dim != len(env.action_low):
        raise UserError(
            f"the data has {action_dim}-D actions, {env.config.id} takes {len(env.action_low)}-D"
        )
    check_actions(episodes, env)
    return Spec(
        obs={name: env.obs_fields[name] for name in sample.obs},
        obs_horizon=obs_horizon,
        action_dim=action_dim,
        action_horizon=action_horizon,
        action_low=tuple(float(x) for x in env.action_low),
        action_high=tuple(float(x) for x in env.action_high),
    )


def check_actions(episodes: Sequence[Episode], env: Environment) -> None:
    """Single numbers beyond the action space are clipped; where most are, the units are others.

    Human demonstrations of the door leave it in four steps of five, by a third of its range at most.

    Raises:
        UserError: more than half of all numbers lie outside.
    """
    action = np.concatenate([episode.action for episode in episodes])
    margin = 1e-3 * np.maximum(1.0, np.abs(action))  # rounding
    outside = (action < env.action_low - margin) | (action > env.action_high + margin)
    if outside.mean() > 0.5:
        raise UserError(
            f"{outside.mean():.0%} of the data's actions, from {action.min():.3g} to {action.max():.3g}, are outside "
            f"{env.config.id}'s {env.action_low.min():.3g} to {env.action_high.max():.3g}: other units?"
        )


def manifest(path: Path, episodes: Sequence[Episode]) -> dict[str, Any]:
    """What a checkpoint tells of its data: where from, how much, and a hash of every number used."""
    digest = hashlib.sha256()
    for episode in episodes:
        for name in sorted(episode.obs):
            digest.update(np.ascontiguousarray(episode.obs[name]).data)
        digest.update(np.ascontiguousarray(episode.action).data)
    return {
        "path": path.name,
        "num_episodes": len(episodes),
        "num_steps": sum(len(episode) for episode in episodes),
        "sha256": digest.hexdigest(),
    }


def _shapes(episode: Episode) -> dict[str, tuple[int, ...]]:
    shapes = {name: array.shape[1:] for name, array in sorted(episode.obs.items())}
    return {**shapes, "action": episode.action.shape[1:]}
