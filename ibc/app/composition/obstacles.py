"""Particles among disks and balls that they were never shown."""

from __future__ import annotations

from typing import Any

from ibc.app.composition.closed_loop import Settings, run_episodes, trained
from ibc.config import compose
from ibc.energies import AllOf, Energy, KeepOutDisk, SpringDamper
from ibc.policies import ComposedPolicy, ImplicitPolicy

#: Obstacles are kept so much larger (units) than they are: between the points that are looked at, the body moves on.
MARGIN = 0.01


def particle_2d(settings: Settings) -> list[dict[str, Any]]:
    """One to three disks of radius 0.1, half of them moving."""
    policy, _ = trained("particle_2d", settings)
    return _rows(policy, ["env.n_dim=2", "env.radius=0.1", "env.speed=0.15"], settings)


def particle_8d(settings: Settings) -> list[dict[str, Any]]:
    """One to three balls of radius 0.25."""
    policy, _ = trained("particle_8d", settings)
    return _rows(policy, ["env.n_dim=8", "env.radius=0.25"], settings)


def keep_out(env: dict[str, Any]) -> list[Energy]:
    """A constraint for each obstacle of an environment, about where the body will be."""
    body = SpringDamper(
        "pos_agent",
        "vel_agent",
        stiffness=10,
        damping=5,
        substep=0.005,
        substeps=10,
        lookahead=20,
    )
    return [
        KeepOutDisk(
            f"pos_obstacle_{k}",
            env["radius"] + MARGIN,
            velocity=f"vel_obstacle_{k}",
            model=body,
        )
        for k in range(1, env["num_obstacles"] + 1)
    ]


def _rows(policy: ImplicitPolicy, overrides: list[str], settings: Settings) -> list[dict[str, Any]]:
    env = compose("train", ["env=particle_obstacles", *overrides])["env"]
    rows = [run_episodes(policy, env, settings.seeds).row("without", "touched")]
    energy = AllOf(policy.energy, *keep_out(env))
    for hard in (False, True):
        careful = ComposedPolicy(policy, energy, hard=hard)
        tally = run_episodes(careful, env, settings.seeds)
        rows.append(tally.row("hard" if hard else "soft", "touched"))
    return rows
