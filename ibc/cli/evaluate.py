"""Evaluate a policy in closed loop on held-out seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ibc.checkpoint import Checkpoint
from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config, seeds_of
from ibc.cli.paths import check_outputs
from ibc.d4rl import find_task
from ibc.data import Episode
from ibc.device import configure_device, provenance
from ibc.evaluation.evaluate import evaluate as evaluate_policy
from ibc.evaluation.evaluate import format_metrics, write_output
from ibc.policies import Policy


def evaluate(config: Config) -> None:
    """Print the metrics and write them to ``output``, if given."""
    seeds = seeds_of(config)
    check_outputs(config, "output")
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_for_command(config, device)
    metrics = measure(
        policy,
        checkpoint,
        seeds=seeds,
        num_envs=config["num_envs"],
        num_execute_steps=num_execute_steps(config, checkpoint),
        processes=config["processes"],
        exact=config["exact"],
    )
    run = checkpoint.config
    print(format_metrics(run.get("name", "policy"), run.get("policy_name", "saved"), metrics))
    write_output(config["output"], metrics)


def measure(
    policy: Policy,
    checkpoint: Checkpoint,
    *,
    seeds: Sequence[int],
    num_envs: int,
    num_execute_steps: int | None = None,
    processes: int = 1,
    exact: bool = False,
) -> dict[str, Any]:
    """The metrics of one evaluation, with where they come from, ready to be written."""
    result = evaluate_policy(
        policy,
        checkpoint.config["env"],
        seeds=seeds,
        num_envs=num_envs,
        num_execute_steps=num_execute_steps,
        processes=processes,
        exact=exact,
    )
    return {
        **result.metrics,
        **d4rl_score(checkpoint.config.get("task"), result.episodes),
        "about": origin(checkpoint),
    }


def origin(checkpoint: Checkpoint) -> dict[str, Any]:
    """Where the figures of a policy come from: machine, versions, recipe, data."""
    run: Mapping[str, Any] = checkpoint.config
    return {
        **provenance(),
        "experiment": run.get("name"),
        "policy": run.get("policy_name"),
        "training_seed": run.get("seed"),
        "training_seconds": checkpoint.about.get("training_seconds"),
        "data": checkpoint.about.get("data"),
    }


def d4rl_score(task: str | None, episodes: Sequence[Episode]) -> dict[str, Any]:
    """The benchmark's score of a D4RL task, where it has a reference for it: 0 is random, 100 the expert."""
    if task is None:
        return {}
    mean = float(np.mean([episode.episode_return for episode in episodes]))
    return {"task": task, "normalized_score": find_task(task).normalized_score(mean)}
