"""Evaluation in closed loop on held-out seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ibc.control import Controller, PolicyActor
from ibc.data import Episode
from ibc.env_config import EnvConfig
from ibc.errors import UserError
from ibc.evaluation.metrics import summarize
from ibc.evaluation.parallel import run_episodes
from ibc.files import write_atomically
from ibc.policies import Policy
from ibc.progress import track

#: Environments that run at once.
NUM_ENVS = 25


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        metrics: rates, intervals, latency, and one row for each episode, ready to be written as JSON.
        episodes: in the order of their seeds.
    """

    metrics: dict[str, Any]
    episodes: Sequence[Episode]

    @property
    def success_rate(self) -> float:
        """The share of episodes that succeeded."""
        return float(self.metrics["success_rate"])

    @property
    def return_mean(self) -> float:
        """The mean sum of rewards of an episode."""
        return float(self.metrics["return_mean"])


def evaluate(
    policy: Policy | Controller,
    env: str | Mapping[str, Any] | EnvConfig,
    *,
    seeds: Sequence[int] = range(100_000, 100_100),
    num_envs: int = NUM_ENVS,
    num_execute_steps: int | None = None,
    processes: int = 1,
    exact: bool = False,
) -> Evaluation:
    """Run one episode for each seed.

    Args:
        policy: a policy, or a controller of a policy or an expert, whose records begin anew.
        env: the id of a Gymnasium environment, or its configuration (:class:`ibc.env_config.EnvConfig`).
        seeds: of the resets.
        num_envs: environments at once.
        num_execute_steps: see :class:`ibc.control.Controller`.
        processes: that share the episodes (:func:`ibc.evaluation.parallel.rollout_in_processes`).
        exact: every number of the evaluation is the same for any ``num_envs``, any ``processes`` and any number of
            threads on one machine; see :class:`ibc.control.Controller`. A controller that is given says it itself.

    Raises:
        UserError: no seeds, an environment that cannot be made, or one whose success cannot be read.
    """
    if len(seeds) < 1 or num_envs < 1 or processes < 1 or min(seeds) < 0:
        raise UserError(
            f"num_episodes={len(seeds)}, num_envs={num_envs}, processes={processes}, "
            f"first_seed={min(seeds, default=0)}; num_episodes, num_envs and processes must be at least 1, "
            "seeds at least 0"
        )
    seeds = [int(seed) for seed in seeds]
    controller = (
        policy
        if isinstance(policy, Controller)
        else Controller(policy, num_execute_steps=num_execute_steps, exact=exact)
    )
    config = env_config(env)
    controller.latencies.clear()
    if isinstance(controller.actor, PolicyActor):
        controller.actor.reports.clear()
    running = run_episodes(config, controller, seeds, num_envs=num_envs, processes=processes)
    episodes, told = [], []
    for episode in track(running, "evaluating", len(seeds), "episode"):
        episodes.append(episode)
        if isinstance(controller.actor, PolicyActor):  # which keeps the latest ones alone
            told.append(
                summarize_reports(list(controller.actor.reports.get(episode.seed or 0, [])))
            )
    metrics = {
        "env_id": config.id,
        "env": config.task(),
        "num_episodes": len(seeds),
        "first_seed": seeds[0],
        "num_envs": min(num_envs, len(seeds)),
        "exact": controller.exact,
        **summarize(episodes, config.success_when, controller.latencies),
    }
    for row, summary in zip(metrics["episodes"], told, strict=False):
        row.update(summary)
    return Evaluation(metrics, episodes)


def env_config(env: str | Mapping[str, Any] | EnvConfig) -> EnvConfig:
    """The configuration of an environment that is given in one of three ways."""
    if isinstance(env, EnvConfig):
        return env
    return EnvConfig(id=env) if isinstance(env, str) else EnvConfig.from_mapping(env)


def summarize_reports(reports: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What a policy reported during one episode: infeasible decisions, fallbacks, and the mean energy of each term."""
    row: dict[str, Any] = {}
    first = reports[0] if reports else {}
    terms = [name for name in first if name not in ("feasible", "fallback")]
    if "feasible" in first:
        row["infeasible_decisions"] = sum(report["feasible"] == 0 for report in reports)
    if "fallback" in first:
        row["fallback_decisions"] = sum(report["fallback"] == 1 for report in reports)
    if terms:
        row["terms"] = {name: float(np.mean([r[name] for r in reports])) for name in terms}
    return row


def format_metrics(name: str, policy_name: str, metrics: Mapping[str, Any]) -> str:
    """The few lines that a person wants."""
    low, high = metrics["success_rate_ci95"]
    latency = metrics["policy_latency_ms"]
    score = metrics.get("normalized_score")
    rows = metrics["episodes"]
    counts = [row["infeasible_decisions"] for row in rows if "infeasible_decisions" in row]
    return (
        f"{name}, {policy_name}, {metrics['num_episodes']} episodes of {metrics['env_id']}\n"
        f"success: {metrics['success_rate']:.1%} (95 % interval {low:.1%} to {high:.1%})\n"
        f"return: {metrics['return_mean']:.2f}"
        + (f" (D4RL score {score:.1f})" if score is not None else "")
        + "\n"
        + "".join(
            f"{name}: {mean['mean']:.3f} (95 % interval {mean['ci95'][0]:.3f} to {mean['ci95'][1]:.3f})\n"
            for name, mean in metrics.get("report", {}).items()
        )
        + (f"infeasible: {sum(counts)} decisions\n" if counts else "")
        + f"latency: {latency['median']:.1f} ms median, {latency['p95']:.1f} ms p95 "
        + (
            "for one environment"
            if metrics["exact"]
            else f"for {metrics['num_envs']} environments at once"
        )
    )


def format_held_out(measures: Mapping[str, float], num_episodes: int) -> str:
    """Measures on held-out demonstrations, in a line."""
    line = (
        f"held-out action error: {measures['action_error']:.4g}, {measures['action_error_of_range']:.2%} of the "
        f"range ({num_episodes} episodes, loss {measures['loss']:.4g}"
    )
    if "rank" in measures:
        line += f", {measures['rank']:.1%} of random actions have less energy than the shown one"
    return line + ")"


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file as a whole."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def write_output(output: str | None, content: object) -> None:
    """Write what a command has found to its ``output``, if one is given, and say so."""
    if output is not None:
        write_json(Path(output).expanduser(), content)
        print(f"file: {output}")
