"""Two energies trained apart: one knows goals, the other a corridor."""

from __future__ import annotations

from typing import Any

from ibc.app.composition.closed_loop import Settings, run_episodes, trained
from ibc.config import compose
from ibc.energies import AllOf
from ibc.policies import ComposedPolicy
from ibc.samplers import DFO

#: Share of the corridor's energy; chosen on seeds from 300000.
SHARE = 0.9


def corridor(settings: Settings) -> list[dict[str, Any]]:
    """Each alone, and both. Together they are searched without gradients, across the valleys of the corridor."""
    goals, _ = trained("particle_2d", settings)
    walls, _ = trained("particle_corridor", settings)
    env = compose("train", ["env=particle_corridor"])["env"]
    both = ComposedPolicy(goals, AllOf(goals.energy, walls.energy, weights=[1 - SHARE, SHARE]))
    rows = [
        run_episodes(policy, env, settings.seeds).row(f"{name} alone", "left")
        for name, policy in (("goals", goals), ("corridor", walls))
    ]
    goals.sampler = DFO(
        num_candidates=1024, num_iterations=4, noise_std=0.1, shrink=0.5, temperature=1e-3
    )
    return [*rows, run_episodes(both, env, settings.seeds).row("both", "left")]
