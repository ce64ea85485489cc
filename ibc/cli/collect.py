"""Collect demonstrations of an environment's expert."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.config import Config, at_least
from ibc.evaluation.collect import collect_demonstrations


def collect(config: Config) -> None:
    """Store ``num_episodes`` successful episodes at ``data.path``."""
    at_least(config, num_episodes=1, first_seed=0, num_envs=1, processes=1)
    path = Path(config["data"]["path"]).expanduser()
    collect_demonstrations(
        config["env"],
        path,
        num_episodes=config["num_episodes"],
        first_seed=config["first_seed"],
        num_envs=config["num_envs"],
        processes=config["processes"],
    )
    print(f"demonstrations: {path}")
