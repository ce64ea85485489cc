"""The filming command: episodes of a checkpoint as an MP4 file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ibc.cli.config import Config, at_least
from ibc.cli.evaluate import load_policy
from ibc.control import PolicyActor
from ibc.device import configure_device
from ibc.environment import EnvConfig, Environment
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout
from ibc.evaluation.term_images import Watched, beside
from ibc.evaluation.video import Frame, caption, encode_mp4
from ibc.files import write_atomically
from ibc.policies import ComposedPolicy, Policy
from ibc.training.checkpoint import Checkpoint


def record(config: Config) -> None:
    """The command: film ``num_episodes`` episodes from ``seed`` on."""
    at_least(config, num_episodes=1, seed=0)
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_policy(config, device)
    seeds = range(config["seed"], config["seed"] + config["num_episodes"])
    write_atomically(Path(config["output"]), film(policy, checkpoint, seeds))
    print(f"video: {config['output']}")


def film(policy: Policy, checkpoint: Checkpoint, seeds: Sequence[int]) -> bytes:
    """One episode after another as the content of an MP4 file, each with its outcome in the last frames.

    Beside a composed policy's episode stand the energies of all terms over the action plane, decision by decision.
    """
    env_config = EnvConfig.from_mapping(checkpoint.config["env"])
    env = Environment(env_config, render=True)
    frames: list[Frame] = []
    raw: list[Frame] = []
    watched = Watched(policy) if isinstance(policy, ComposedPolicy) else None
    actor = PolicyActor(policy if watched is None else watched)
    for seed in seeds:
        raw.clear()
        if watched is not None:
            watched.pictures.clear()
        (episode,) = rollout(
            [env],
            actor,
            [seed],
            obs_horizon=policy.spec.obs_horizon,
            on_step=lambda e: raw.append(e.render()),
        )
        if watched is not None:
            decisions = np.arange(len(raw)) // policy.spec.action_horizon
            raw[:] = [
                beside(frame, watched.pictures[min(int(k), len(watched.pictures) - 1)])
                for frame, k in zip(raw, decisions, strict=True)
            ]
        outcome = "solved" if is_success(episode, env_config.success_when) else "not solved"
        frames += [
            caption(frame, f"{env_config.id}  seed {seed}  t = {t / env.fps:.1f} s")
            for t, frame in enumerate(raw)
        ]
        frames += [caption(raw[-1], f"{env_config.id}  seed {seed}  {outcome}")] * int(env.fps)
    fps = env.fps
    env.close()
    return encode_mp4(frames, fps)
