"""The evaluation command: a checkpoint in closed loop on held-out seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ibc.cli.compose import composed
from ibc.cli.config import Config, at_least, build
from ibc.control import Actor, PolicyActor
from ibc.d4rl import find_task
from ibc.data import Episode
from ibc.device import configure_device, provenance
from ibc.environment import EnvConfig, Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import summarize
from ibc.evaluation.rollout import rollout
from ibc.files import write_atomically
from ibc.policies import ImplicitPolicy, Policy
from ibc.samplers import Sampler
from ibc.training.checkpoint import Checkpoint, build_policy, load_checkpoint
from ibc.training.loggers import track


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How a policy is evaluated: on ``num_episodes`` consecutive seeds, ``num_envs`` at a time."""

    num_episodes: int
    first_seed: int
    num_envs: int

    def __post_init__(self) -> None:
        at_least(vars(self), num_episodes=1, num_envs=1, first_seed=0)


def evaluate(config: Config) -> None:
    """The command: print the figures and write them to ``output``, if given."""
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_policy(config, device)
    settings = EvaluationConfig(
        num_episodes=config["num_episodes"],
        first_seed=config["first_seed"],
        num_envs=config["num_envs"],
    )
    figures = evaluate_policy(policy, checkpoint, settings)
    print(format_figures(checkpoint.config["name"], checkpoint.config["policy_name"], figures))
    if config["output"] is not None:
        write_json(Path(config["output"]), figures)
        print(f"file: {config['output']}")


def load_policy(config: Config, device: torch.device) -> tuple[Checkpoint, Policy]:
    """The policy of ``config["checkpoint"]``, searching by ``config["sampler"]`` if that is given.

    With ``config["compose"]`` it searches that composition instead of its own energy.
    Keys of ``config["env"]`` replace those the policy was trained with.

    Raises:
        UserError: the checkpoint is damaged, or would import a module for its environment unasked.
    """
    checkpoint = load_checkpoint(Path(config["checkpoint"]))
    given = {key: value for key, value in config["env"].items() if value is not None}
    env = {**checkpoint.config["env"], **given}
    module, colon, _ = str(env["id"]).partition(":")
    if colon and "id" not in given:
        raise UserError(
            f"the checkpoint's environment would import '{module}'; if you trust it: env.id={env['id']}"
        )
    checkpoint = replace(checkpoint, config={**checkpoint.config, "env": env})
    policy = build_policy(checkpoint, device)
    override_search(policy, config)
    if config["compose"] is not None:
        policy = composed(policy, config["compose"], device)
    return checkpoint, policy


def override_search(policy: Policy, config: Config) -> None:
    """Give the policy the ``sampler`` and the ``warm_start_fraction`` of a command, where it has one.

    Raises:
        UserError: the policy does not search.
    """
    for key in ("sampler", "warm_start_fraction"):
        if config[key] is not None and not isinstance(policy, ImplicitPolicy):
            raise UserError(
                f"{key}=... is for implicit policies; this is a {type(policy).__name__}"
            )
    if not isinstance(policy, ImplicitPolicy):
        return
    if config["sampler"] is not None:
        sampler = build(config["sampler"], "sampler")
        if not isinstance(sampler, Sampler):
            raise UserError(f"{type(sampler).__name__} is not a sampler")
        policy.sampler = sampler
    if config["warm_start_fraction"] is not None:
        policy.warm_start_fraction = config["warm_start_fraction"]


def evaluate_policy(
    policy: Policy, checkpoint: Checkpoint, settings: EvaluationConfig
) -> dict[str, Any]:
    """The figures of one evaluation, ready to be written."""
    actor = PolicyActor(policy)
    figures, episodes = evaluate_actor(
        actor, checkpoint.config["env"], settings, obs_horizon=policy.spec.obs_horizon
    )
    for row in figures["episodes"]:
        row.update(summarize_reports(actor.reports.get(row["seed"], [])))
    return {
        **figures,
        **scores(checkpoint.config.get("task"), episodes),
        "about": {
            **provenance(),
            "experiment": checkpoint.config["name"],
            "policy": checkpoint.config["policy_name"],
            "training_seed": checkpoint.config["seed"],
            "training_seconds": checkpoint.about.get("training_seconds"),
            "data": checkpoint.about.get("data"),
        },
    }


def evaluate_actor(
    actor: Actor, env: Mapping[str, Any], settings: EvaluationConfig, *, obs_horizon: int
) -> tuple[dict[str, Any], list[Episode]]:
    """Figures and episodes of whatever acts in the environment that ``env`` configures."""
    env_config = EnvConfig.from_mapping(env)
    count = min(settings.num_envs, settings.num_episodes)
    envs = [Environment(env_config) for _ in range(count)]
    seeds = range(settings.first_seed, settings.first_seed + settings.num_episodes)
    latencies: list[float] = []
    running = rollout(envs, actor, seeds, obs_horizon=obs_horizon, latencies=latencies)
    episodes = list(track(running, "evaluating", len(seeds), "episode"))
    for one in envs:
        one.close()
    return {
        "env_id": env_config.id,
        "num_episodes": settings.num_episodes,
        "first_seed": settings.first_seed,
        "num_envs": count,
        **summarize(episodes, env_config.success_when, latencies),
    }, episodes


def summarize_reports(reports: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What a policy reported during one episode: infeasible decisions, and the mean energy of each term."""
    row: dict[str, Any] = {}
    terms = [name for name in reports[0] if name != "feasible"] if reports else []
    if reports and "feasible" in reports[0]:
        row["infeasible_decisions"] = sum(report["feasible"] == 0 for report in reports)
    if terms:
        row["terms"] = {name: float(np.mean([r[name] for r in reports])) for name in terms}
    return row


def scores(task: str | None, episodes: Sequence[Episode]) -> dict[str, Any]:
    """The benchmark's score of a task, where it has a reference for it: 0 is random, 100 the expert."""
    if task is None:
        return {}
    mean = float(np.mean([episode.episode_return for episode in episodes]))
    return {"task": task, "normalized_score": find_task(task).normalized_score(mean)}


def format_figures(name: str, policy_name: str, figures: dict[str, Any]) -> str:
    """The few lines that a person wants."""
    low, high = figures["success_rate_ci95"]
    latency = figures["policy_latency_ms"]
    score = figures.get("normalized_score")
    rows = figures["episodes"]
    counts = [row["infeasible_decisions"] for row in rows if "infeasible_decisions" in row]
    return (
        f"{name}, {policy_name}, {figures['num_episodes']} episodes of {figures['env_id']}\n"
        f"success: {figures['success_rate']:.1%} (95 % interval {low:.1%} to {high:.1%})\n"
        f"return: {figures['return_mean']:.2f}"
        + (f" (D4RL score {score:.1f})" if score is not None else "")
        + "\n"
        + "".join(
            f"{name}: {mean['mean']:.3f} (95 % interval {mean['ci95'][0]:.3f} to {mean['ci95'][1]:.3f})\n"
            for name, mean in figures.get("report", {}).items()
        )
        + (f"infeasible: {sum(counts)} decisions\n" if counts else "")
        + f"latency: {latency['median']:.1f} ms median, {latency['p95']:.1f} ms p95 "
        f"for {figures['num_envs']} environments at once"
    )


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file as a whole."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
