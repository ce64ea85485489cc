"""Two energies trained apart: one knows goals, the other a corridor."""

from __future__ import annotations

from typing import Any

from benchmarks.composition.closed_loop import Settings, run_episodes, trained
from ibc.cli.config import compose
from ibc.energies import AllOf, TypicalSet
from ibc.policies import ComposedPolicy
from ibc.samplers import DFO

#: By which the energy of the goals, a bowl, is divided; chosen on seeds from 300000, as was the search.
TEMPERATURE = 0.1
CANDIDATES, ITERATIONS, NOISE = 512, 4, 0.1


def corridor(settings: Settings) -> list[dict[str, Any]]:
    """Each alone, and both: the corridor's energy says what is allowed, that of the goals what is best of it."""
    goals, _ = trained("particle_2d", settings)
    walls, _ = trained("particle_corridor", settings)
    env = compose("train", ["env=particle_corridor"])["env"]
    rows = [
        run_episodes(policy, env, settings.seeds).row(f"{name} alone", "left")
        for name, policy in (("goals", goals), ("corridor", walls))
    ]
    goals.sampler = DFO(  # the edge of what is allowed is no slope to follow
        num_candidates=CANDIDATES,
        num_iterations=ITERATIONS,
        noise_std=NOISE,
        shrink=0.5,
        temperature=TEMPERATURE / 2,
    )
    energy = AllOf(
        goals.energy,
        TypicalSet(walls.energy),
        temperatures=[TEMPERATURE, 1.0],
        names=["goals", "corridor"],
    )
    both = ComposedPolicy(goals, energy)
    return [*rows, run_episodes(both, env, settings.seeds).row("both", "left")]
