"""What reduced precision costs: the same policy, the same observations, the same random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ibc.control import PolicyActor
from ibc.device import full_precision
from ibc.energies import low_precision
from ibc.environment import EnvConfig, Environment
from ibc.errors import UserError
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy
from ibc.random import BatchRandom
from ibc.samplers import uniform_proposal
from ibc.spec import Obs
from ibc.training.checkpoint import build_policy, load_checkpoint

#: Candidates among which the best is looked for, and the episodes whose observations are used.
NUM_CANDIDATES, SEEDS = 1024, range(300_000, 300_004)


def accuracy(path: Path, device: torch.device) -> dict[str, Any]:
    """Agreement of a policy's energies and actions in reduced precision with those in float32.

    Returns:
        ``same_best``: how often both name the same of 1,024 candidates the best; ``best_loss``: how much higher, as a
        part of the candidates' range of energies, the exact energy of the other's choice is; ``action_difference``:
        mean and 95th percentile of the difference between the actions found, as a part of the action's range. All
        zeros and ones where the machine has no reduced precision.

    Raises:
        UserError: the checkpoint holds no implicit policy.
    """
    checkpoint = load_checkpoint(path)
    policy = build_policy(checkpoint, device).eval()
    if not isinstance(policy, ImplicitPolicy):
        raise UserError(f"{path} holds no implicit policy")
    obs = visited(policy, EnvConfig.from_mapping(checkpoint.config["env"]), device)
    count = len(next(iter(obs.values())))
    action = uniform_proposal(count, NUM_CANDIDATES, policy.bounds, seeded(device))
    with torch.no_grad():
        energy = policy.energy.bind(obs)
        exact, cheap = energy(action), low_precision(energy)(action)
    chosen = cheap.argmin(1, keepdim=True)
    lost = (exact.gather(1, chosen)[:, 0] - exact.amin(1)) / (exact.amax(1) - exact.amin(1))
    fast = policy.act_flat(obs, seeded(device))
    with full_precision():
        slow = policy.act_flat(obs, seeded(device))
    difference = (fast - slow).abs() / (2 * policy.bounds.half_range)
    return {
        "observations": count,
        "same_best": float((chosen[:, 0] == exact.argmin(1)).float().mean()),
        "best_loss": float(lost.mean()),
        "action_difference": {
            "mean": float(difference.mean()),
            "p95": float(torch.quantile(difference, 0.95)),
        },
    }


def seeded(device: torch.device) -> BatchRandom:
    """The same random numbers each time."""
    return BatchRandom(torch.Generator(device).manual_seed(0))


def visited(policy: ImplicitPolicy, env_config: EnvConfig, device: torch.device) -> Obs:
    """Observation windows the policy meets in closed loop."""
    envs = [Environment(env_config) for _ in SEEDS]
    windows: dict[str, list[Tensor]] = {name: [] for name in policy.spec.obs}
    horizon = policy.spec.obs_horizon
    for episode in rollout(envs, PolicyActor(policy), SEEDS, obs_horizon=horizon):
        for name, array in episode.obs.items():
            if name in windows:
                stacked = np.stack([array[t : t + horizon] for t in range(len(episode) - horizon)])
                windows[name].append(torch.from_numpy(stacked))
    for env in envs:
        env.close()
    return {name: torch.cat(parts).to(device) for name, parts in windows.items()}
