"""What ``experiment=d4rl task=NAME`` asks of its task: environment, horizon and data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ibc.cli.config import offer
from ibc.d4rl import find_task


def prepare(overrides: Sequence[str]) -> None:
    """Offer the task that is named on the command line to the configuration, as ``env=d4rl``.

    Raises:
        UserError: there is no such task.
    """
    given = [text.partition("=")[2] for text in overrides if text.startswith("task=")]
    name = given[-1].strip("\"'") if given else ""
    node: dict[str, Any] = {"task": "???", "env": {"id": "???"}, "data": {"path": "???"}}
    if name not in ("", "null"):
        task = find_task(name)
        node = {
            "d4rl_name": task.name,
            "env": {
                "id": task.env_id,
                "max_episode_steps": task.horizon,
                "success_key": "success",
                "success_return": None,
                "success_when": task.success_when,
            },
            "data": {"path": task.asked, "episode_length": task.horizon, "num_episodes": None},
        }
    offer("env", "d4rl", node, "_global_")
