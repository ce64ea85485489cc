"""What an environment's expert reaches: the ceiling for policies that imitate it."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.collect import EXPERT_OBS_HORIZON
from ibc.cli.config import Config, build
from ibc.cli.evaluate import EvaluationConfig, evaluate_actor, format_figures, write_json
from ibc.device import provenance
from ibc.errors import UserError


def evaluate_expert(config: Config) -> None:
    """The command: the figures of ``env.expert``, as of a policy, printed and written to ``output``, if given.

    It acts where policies are evaluated: ``env.collection`` does not hold.

    Raises:
        UserError: the environment has no expert.
    """
    env = config["env"]
    if env.get("expert") is None:
        raise UserError(f"environment {env['id']} has no expert")
    settings = EvaluationConfig(
        num_episodes=config["num_episodes"],
        first_seed=config["first_seed"],
        num_envs=config["num_envs"],
    )
    expert = build(env["expert"], "env.expert")
    figures, _ = evaluate_actor(expert, env, settings, obs_horizon=EXPERT_OBS_HORIZON)
    about = {**provenance(), "policy": "expert"}
    print(format_figures(env["id"], "expert", figures))
    if config["output"] is not None:
        write_json(Path(config["output"]), {**figures, "about": about})
        print(f"file: {config['output']}")
