"""What reduced precision costs: the same policy, the same observations, the same random numbers."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.results import Row
from benchmarks.timing.closed_loop import PARTICLE
from ibc.checkpoint import load_checkpoint
from ibc.control import Controller
from ibc.device import configure_device, reduced_precision
from ibc.energies import UnitSpace
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy
from ibc.policies.loading import build_policy
from ibc.random import BatchRandom
from ibc.spec import Obs

#: The policies compared.
ACCURACIES = {"accuracy_2d": PARTICLE, "accuracy_16d": Path("pretrained/particle_16d.pt")}
#: Candidates that are compared, and the episodes whose observations are used.
NUM_CANDIDATES, SEEDS = 1024, range(300_000, 300_004)


def accuracy(name: str, device: torch.device) -> Row:
    """Compare a policy's energies and actions in reduced precision with those in float32.

    Returns:
        ``same_best``: how often the same of 1,024 candidates is the best of both; ``best_loss``: how much higher the
        exact energy of the other best is, as a part of the candidates' range of energies; ``action_difference``: mean
        and 95th percentile of the difference between the actions found, as a part of the action's range.
    """
    checkpoint = load_checkpoint(ACCURACIES[name])
    policy = build_policy(checkpoint, device).eval()
    assert isinstance(policy, ImplicitPolicy)
    obs = visited(policy, EnvConfig.from_mapping(checkpoint.environment()), device)
    count = len(next(iter(obs.values())))
    with torch.no_grad():
        space = UnitSpace(policy.energy.bind(obs), policy.bounds)
        unit = space.uniform(count, NUM_CANDIDATES, seeded(device))
        exact, cheap = space.energy(unit), space.low_precision().energy(unit)
    chosen = cheap.argmin(1, keepdim=True)
    lost = (exact.gather(1, chosen)[:, 0] - exact.amin(1)) / (exact.amax(1) - exact.amin(1))
    fast = policy.act_flat(obs, seeded(device))
    precision = "float32" if reduced_precision() is None else "bfloat16"
    configure_device(device.type, "float32")
    slow = policy.act_flat(obs, seeded(device))
    configure_device(device.type, precision)
    difference = (fast - slow).abs() / (2 * policy.bounds.half_range)
    p95 = float(torch.quantile(difference, 0.95))
    return {
        "observations": count,
        "same_best": float((chosen[:, 0] == exact.argmin(1)).float().mean()),
        "best_loss": float(lost.mean()),
        "action_difference": {"mean": float(difference.mean()), "p95": p95},
    }


def seeded(device: torch.device) -> BatchRandom:
    """The same random numbers each time."""
    return BatchRandom(torch.Generator(device).manual_seed(0))


def visited(policy: ImplicitPolicy, env_config: EnvConfig, device: torch.device) -> Obs:
    """Observation windows the policy meets in closed loop."""
    envs = [Environment(env_config) for _ in SEEDS]
    windows: dict[str, list[Tensor]] = {name: [] for name in policy.spec.obs}
    horizon = policy.spec.obs_horizon
    for episode in rollout(envs, Controller(policy), SEEDS):
        for name, array in episode.obs.items():
            if name in windows:
                stacked = np.stack([array[t : t + horizon] for t in range(len(episode) - horizon)])
                windows[name].append(torch.from_numpy(stacked))
    for env in envs:
        env.close()
    return {name: torch.cat(parts).to(device) for name, parts in windows.items()}
