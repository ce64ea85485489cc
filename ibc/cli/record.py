"""Record a video of a policy."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config, at_least
from ibc.cli.paths import check_outputs
from ibc.device import configure_device
from ibc.evaluation import record_video
from ibc.files import write_atomically


def record(config: Config) -> None:
    """Film ``num_episodes`` episodes from ``seed`` on."""
    at_least(config, num_episodes=1, seed=0)
    check_outputs(config, "output")
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_for_command(config, device)
    video = record_video(
        policy,
        checkpoint.config["env"],
        seeds=range(config["seed"], config["seed"] + config["num_episodes"]),
        num_execute_steps=num_execute_steps(config, checkpoint),
    )
    write_atomically(Path(config["output"]).expanduser(), video)
    print(f"video: {config['output']}")
