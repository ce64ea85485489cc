"""Demonstrations of an environment's expert."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ibc.construct import construct, find
from ibc.control import Actor, Controller, FunctionExpert
from ibc.data import DemonstrationWriter
from ibc.data.store import FinishedElsewhere
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import is_success
from ibc.evaluation.parallel import run_episodes
from ibc.progress import Progress


def make_expert(description: object) -> Actor:
    """An expert from its description, from the dotted name of a function of an observation, or from that function.

    Raises:
        UserError: it is neither an actor nor a function.
    """
    made = description
    if isinstance(description, str):
        made = find(description)
        if isinstance(made, type):
            made = made()
    elif isinstance(description, Mapping):
        made = construct(description, "env.expert")
    if isinstance(made, Actor):
        return made
    if callable(made):
        return FunctionExpert(made)
    raise UserError(
        f"env.expert is a {type(made).__name__}; it must be a function of an observation, or have reset and act"
    )


def collect_demonstrations(
    env: Mapping[str, Any],
    path: str | Path,
    *,
    num_episodes: int,
    first_seed: int = 0,
    num_envs: int = 16,
    processes: int = 1,
) -> None:
    """Roll the expert out on consecutive seeds until ``num_episodes`` episodes have succeeded.

    An interrupted collection is continued; where another process is collecting the same, this one waits for it.
    Values of ``env.demo_overrides`` hold here and not in evaluation: demonstrations may have to be more exact than what
    counts as success.

    Args:
        env: configuration of the environment (:class:`ibc.env_config.EnvConfig`) with its ``expert``: a function of
            an observation ``{name: (*shape)}`` that returns an action (D,), or an :class:`ibc.control.Actor`.
        path: of the data set, which does not exist yet.
        num_episodes: successful ones to store.
        first_seed: of the resets.
        num_envs: environments at once.
        processes: that share the episodes; the data is the same.

    Raises:
        UserError: the environment has no expert, or ``path`` exists.
    """
    env = {**env, **(env.get("demo_overrides") or {})}
    env_config = EnvConfig.from_mapping(env)
    if env.get("expert") is None:
        raise UserError(
            f"environment {env['id']} has no expert; give demonstrations by data.path=..."
        )
    expert = make_expert(env["expert"])
    made = Environment(env_config)
    made.close()
    try:
        writer = _writer(Path(path), env, made, first_seed)
    except FinishedElsewhere:
        print(f"another process has collected {path}")
        return
    try:
        failures = _fill(
            writer, env_config, Controller(expert), num_episodes, first_seed, num_envs, processes
        )
    finally:
        writer.release()  # this process may try again
    print(f"{num_episodes} episodes stored, {failures} failures of the expert left out")


def _fill(
    writer: DemonstrationWriter,
    env_config: EnvConfig,
    expert: Controller,
    num_episodes: int,
    first_seed: int,
    num_envs: int,
    processes: int,
) -> int:
    """Add the episodes that are missing, and complete the data set; returns how many have failed."""
    writer.keep_first(num_episodes)
    next_seed = writer.last_seed + 1 if writer.last_seed is not None else first_seed
    failures, wanted = 0, num_episodes - len(writer)
    seeds = range(next_seed, next_seed + 10 * wanted + 100)
    progress = Progress("collecting", wanted, "episode")
    with closing(
        run_episodes(env_config, expert, seeds, num_envs=num_envs, processes=processes)
    ) as running:
        while len(writer) < num_episodes:
            episode = next(running, None)
            if episode is None:
                raise UserError(
                    f"the expert of {env_config.id} fails too often: {failures} failures"
                )
            if is_success(episode, env_config.success_when):
                writer.append(episode)
                progress.advance()
            else:
                failures += 1
    progress.close()
    writer.close()
    return failures


def _writer(
    path: Path, env: Mapping[str, Any], made: Environment, first_seed: int
) -> DemonstrationWriter:
    return DemonstrationWriter(
        path,
        env_id=made.config.id,
        observation_space=made.observation_space,
        action_space=made.gym_env.action_space,
        about={"env": {**env, "expert": _name(env["expert"])}, "first_seed": first_seed},
        wait=True,
        replace=True,
    )


def _name(expert: object) -> object:
    """What the data set says of its expert: the configuration, or the name of the class or function."""
    if isinstance(expert, str | Mapping):
        return expert
    found = expert if callable(expert) and hasattr(expert, "__qualname__") else type(expert)
    return f"{found.__module__}.{found.__qualname__}"
