"""What three constraints cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.composition.closed_loop import Settings, trained
from ibc.constraints import KeepOutDisk, PDController, SpeedLimit, StayWithin
from ibc.energies import AllOf
from ibc.policies import ComposedPolicy, Policy
from ibc.random import BatchRandom

#: Decisions timed, in turn for all policies.
REPEATS = 40


def latency(settings: Settings) -> list[dict[str, Any]]:
    """Least time of a decision for one environment: alone, with three disks, and with three different constraints."""
    policy, _ = trained("particle_2d", settings)
    model = PDController(
        "pos_agent", "vel_agent", stiffness=10, damping=5, substep=0.005, substeps=10, lookahead=20
    )
    disks = [KeepOutDisk([x, 0.5], 0.1, model=model) for x in (0.2, 0.5, 0.8)]
    mixed = [
        KeepOutDisk([0.5, 0.5], 0.1, model=model),
        StayWithin([0.0, 0.0], [1.0, 1.0], model=model),
        SpeedLimit(1.5, model=model),
    ]
    policies: dict[str, Policy] = {"without": policy}
    for name, terms in (("three disks", disks), ("disk, box and speed", mixed)):
        energy = AllOf(policy.energy, *terms)
        policies[f"{name}, soft"] = ComposedPolicy(policy, energy)
        policies[f"{name}, hard"] = ComposedPolicy(policy, energy, hard=True)
    generator = torch.Generator().manual_seed(settings.seeds[0])
    obs = {name: torch.rand(1, 2, 2, generator=generator) for name in policy.spec.obs}
    seconds: dict[str, list[float]] = {name: [] for name in policies}
    for repeat in range(REPEATS):
        for name, one in policies.items():
            rng = BatchRandom(torch.Generator().manual_seed(repeat))
            start = time.perf_counter()
            with torch.no_grad():
                one.act({key: value.to(settings.device) for key, value in obs.items()}, rng)
            seconds[name].append(time.perf_counter() - start)
    least = {name: 1e3 * float(np.min(values)) for name, values in seconds.items()}
    return [
        {"variant": name, "decision_ms": ms, "times_without": ms / least["without"]}
        for name, ms in least.items()
    ]
