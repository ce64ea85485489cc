"""Evaluate an environment's expert: the ceiling for policies that imitate it."""

from __future__ import annotations

from ibc.cli.config import Config, seeds_of
from ibc.control import Controller
from ibc.device import provenance
from ibc.environment import EnvConfig
from ibc.errors import UserError
from ibc.evaluation.collect import make_expert
from ibc.evaluation.evaluate import evaluate, format_metrics, write_output


def evaluate_expert(config: Config) -> None:
    """Print the metrics of ``env.expert``, as of a policy, and write them to ``output``, if given.

    It acts where policies are evaluated: ``env.demo_overrides`` does not hold.

    Raises:
        UserError: the environment has no expert.
    """
    seeds = seeds_of(config)
    env = config["env"]
    EnvConfig.from_mapping(env)
    if env.get("expert") is None:
        raise UserError(f"environment {env['id']} has no expert")
    metrics = evaluate(
        Controller(make_expert(env["expert"])),
        env,
        seeds=seeds,
        num_envs=config["num_envs"],
        processes=config["processes"],
    ).metrics
    print(format_metrics(env["id"], "expert", metrics))
    about = {**provenance(), "policy": "expert"}
    write_output(config["output"], {**metrics, "about": about})
