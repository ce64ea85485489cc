"""Evaluate an environment's expert: the ceiling for policies that imitate it."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.config import Config, seeds_of
from ibc.cli.paths import check_outputs
from ibc.control import Controller
from ibc.device import provenance
from ibc.env_config import EnvConfig
from ibc.errors import UserError
from ibc.evaluation.collect import make_expert
from ibc.evaluation.evaluate import evaluate, format_metrics, write_output
from ibc.evaluation.record import record_video
from ibc.files import write_atomically


def evaluate_expert(config: Config) -> None:
    """Print the metrics of ``env.expert``, as of a policy; write them to ``output``, its episodes to ``film``.

    It acts where policies are evaluated: ``env.demo_overrides`` does not hold.

    Raises:
        UserError: the environment has no expert.
    """
    seeds = seeds_of(config)
    check_outputs(config, "output", "film")
    env = config["env"]
    EnvConfig.from_mapping(env)
    if env.get("expert") is None:
        raise UserError(f"environment {env['id']} has no expert")
    expert = Controller(make_expert(env["expert"]))
    if (film := config["film"]) is not None:
        write_atomically(Path(film).expanduser(), record_video(expert, env, seeds=seeds))
    metrics = evaluate(
        expert,
        env,
        seeds=seeds,
        num_envs=config["num_envs"],
        processes=config["processes"],
    ).metrics
    print(format_metrics(env["id"], "expert", metrics))
    about = {**provenance(), "policy": "expert"}
    write_output(config["output"], {**metrics, "about": about})
