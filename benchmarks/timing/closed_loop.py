"""Time and success in closed loop: environments, published policies, shorter searches, whole experiments."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.config import compose
from benchmarks.results import Row
from ibc.checkpoint import load_checkpoint
from ibc.cli.train import prepare
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation import evaluate
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy
from ibc.policies.loading import build_policy

PARTICLE, DOOR = Path("pretrained/particle_2d.pt"), Path("pretrained/door_human.pt")
#: Environments whose steps are timed: overrides and number of steps.
ENVIRONMENTS: dict[str, tuple[list[str], int]] = {
    "env_particle": (["env=particle"], 5000),
    "env_block_push": (["env=block_push"], 1000),
    "env_block_push_arm": (["env=block_push", "env.arm=xarm"], 1000),
    "env_block_push_pixels": (["env=block_push", "env.pixels=true", "env.image_size=[90,120]"], 300),
}  # fmt: skip
#: Number of environments in which a policy is timed.
ROLLOUTS = {"rollout_1": 1, "rollout_16": 16}
#: Experiments trained until this success rate, evaluated so many times, on seeds that no result reports.
EXPERIMENTS = {"time_to_95_2d": "particle_2d", "time_to_95_16d": "particle_16d"}
GOAL, LOOKS = 0.95, 10
VALIDATION = range(300_000, 300_100)
#: Few candidates and steps, and as many as a search from anywhere needs.
FEW = {"num_candidates": 2, "num_iterations": 6}
MANY = {"num_candidates": 16, "num_iterations": 40}


@dataclass(frozen=True, kw_only=True)
class SearchOption:
    """A search that differs from the one a policy was trained with.

    Attributes:
        checkpoint: the policy.
        sampler: changed attributes of its sampler.
        policy: changed attributes of the policy itself.
    """

    checkpoint: Path = PARTICLE
    sampler: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)


OPTIONS = {
    "option_none": SearchOption(),
    "option_settle": SearchOption(sampler={"settle": 1e-3}),
    "option_few": SearchOption(sampler=FEW),
    "option_few_warm": SearchOption(sampler=FEW, policy={"warm_start_fraction": 0.5}),
    "option_door_proposal": SearchOption(checkpoint=DOOR),
    "option_door_anywhere": SearchOption(checkpoint=DOOR, sampler=MANY, policy={"init_std": None}),
}


def time_environment(name: str, device: torch.device) -> Row:
    """Milliseconds a step of one environment alone, on random actions, resets included."""
    overrides, steps = ENVIRONMENTS[name]
    env = Environment(EnvConfig.from_mapping(compose("collect", overrides)["env"]))
    rng = np.random.default_rng(0)
    env.reset(0)
    actions = rng.uniform(env.action_low, env.action_high, (steps, len(env.action_low)))
    start = time.perf_counter()
    for action in actions.astype(np.float32):
        *_, terminated, truncated = env.step(action)
        if terminated or truncated:
            env.reset(0)
    seconds = time.perf_counter() - start
    env.close()
    return {"ms": 1e3 * seconds / steps, "steps_per_second": steps / seconds}


def time_rollout(name: str, device: torch.device) -> Row:
    """Milliseconds a step of closed loop, environment and policy together."""
    checkpoint = load_checkpoint(PARTICLE)
    policy = build_policy(checkpoint, device)
    env_config = EnvConfig.from_mapping(checkpoint.environment())
    envs = [Environment(env_config) for _ in range(ROLLOUTS[name])]
    seeds = range(100_000, 100_000 + max(3, len(envs)))
    start = time.perf_counter()
    episodes = rollout(envs, Controller(policy), seeds)
    steps = sum(len(episode) for episode in episodes)
    seconds = time.perf_counter() - start
    return {"ms": 1e3 * seconds / steps, "steps_per_second": steps / seconds}


def measure_option(name: str, device: torch.device) -> Row:
    """Success and return over 100 held-out seeds, and milliseconds a decision of one environment."""
    option = OPTIONS[name]
    checkpoint = load_checkpoint(option.checkpoint)
    policy = build_policy(checkpoint, device)
    assert isinstance(policy, ImplicitPolicy)
    for owner, changes in ((policy.sampler, option.sampler), (policy, option.policy)):
        for key, value in changes.items():
            setattr(owner, key, value)
    many, one = (
        evaluate(
            policy,
            checkpoint.environment(),
            seeds=range(100_000, 100_000 + episodes),
            num_envs=envs,
        ).metrics
        for episodes, envs in ((100, 25), (2, 1))
    )
    row = {key: many[key] for key in ("success_rate", "success_rate_ci95", "return_mean")}
    return {"ms": one["policy_latency_ms"]["median"], **row}


def time_to_success(name: str, device: torch.device) -> Row:
    """Train as the experiment file says, and evaluate at every tenth of the way, which does not count.

    The learning rate falls to zero over the whole run, so a shorter run might get there sooner: this is the time of
    the recipe as it stands.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = compose("train", [f"experiment={EXPERIMENTS[name]}", "video=false"])
        torch.manual_seed(config["seed"])
        trainer, _ = prepare(Path(folder), config, device)
        course: list[tuple[float, float]] = []
        while trainer.step < trainer.num_steps:
            trainer.train_step()
            if trainer.step % max(1, trainer.num_steps // LOOKS) == 0:
                state = torch.get_rng_state()
                metrics = evaluate(trainer.policy, config["env"], seeds=VALIDATION).metrics
                torch.set_rng_state(state)
                course.append((trainer.seconds, metrics["success_rate"]))
                if metrics["success_rate"] >= GOAL:
                    break
    return {"ms": 1e3 * course[-1][0], "success_rate": course[-1][1], "course": course}
