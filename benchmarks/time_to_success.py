"""How long an experiment trains until its policy succeeds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from ibc.cli.config import compose
from ibc.cli.evaluate import EvaluationConfig, evaluate_policy
from ibc.cli.train import prepare

#: The success rate waited for, how often it is looked for, and on which seeds: not those that results report.
GOAL, LOOKS, FIRST_SEED, NUM_EPISODES = 0.95, 10, 300_000, 100


def time_to_success(experiment: str, device: torch.device) -> dict[str, Any]:
    """Train as the experiment file says, looking every tenth of the way; looking does not count.

    The learning rate falls to zero over the whole run, so a shorter run might get there sooner: this is the time of
    the recipe as it stands.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = compose("train", [f"experiment={experiment}", "video=false"])
        torch.manual_seed(config["seed"])
        trainer, checkpoint = prepare(Path(folder), config, device)
        settings = EvaluationConfig(num_episodes=NUM_EPISODES, first_seed=FIRST_SEED, num_envs=25)
        course = []
        while trainer.step < trainer.num_steps:
            trainer.train_step()
            if trainer.step % max(1, trainer.num_steps // LOOKS) == 0:
                state = torch.get_rng_state()
                figures = evaluate_policy(trainer.policy, checkpoint, settings)
                torch.set_rng_state(state)
                course.append([trainer.seconds, figures["success_rate"]])
                if figures["success_rate"] >= GOAL:
                    break
    return {"ms": 1e3 * course[-1][0], "success_rate": course[-1][1], "course": course}
