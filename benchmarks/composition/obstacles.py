"""Particles among disks and balls that they were never shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.composition.closed_loop import Settings, run_episodes, trained
from ibc.cli.config import build, compose
from ibc.constraints import KeepOutDisk, LinearDynamics, PDController
from ibc.constraints.dynamics import ForwardModel
from ibc.energies import AllOf, Energy
from ibc.environment import EnvConfig, Environment
from ibc.evaluation.rollout import rollout
from ibc.policies import ComposedPolicy, ImplicitPolicy

#: Obstacles are kept so much larger (units) than they are: between the points that are looked at, the body moves on.
MARGIN = 0.01
#: Actions' time that is looked ahead, and demonstrations from which the one-step model is learned: seeds from here on.
LOOKAHEAD, DEMONSTRATIONS, FIRST_DEMONSTRATION = 20, 20, 0


def particle_2d(settings: Settings) -> list[dict[str, Any]]:
    """One to three disks of radius 0.1, half of them moving; at last with a one-step model that was learned."""
    policy, checkpoint = trained("particle_2d", settings)
    overrides = ["env.n_dim=2", "env.radius=0.1", "env.speed=0.15"]
    rows = _rows(policy, overrides, settings)
    env = compose("train", ["env=particle_obstacles", *overrides])["env"]
    learned = AllOf(policy.energy, *keep_out(env, learned_body(checkpoint.config["env"])))
    tally = run_episodes(ComposedPolicy(policy, learned, hard=True), env, settings.seeds)
    return [*rows, tally.row("hard, learned one-step model", "touched")]


def particle_8d(settings: Settings) -> list[dict[str, Any]]:
    """One to three balls of radius 0.25."""
    policy, _ = trained("particle_8d", settings)
    return _rows(policy, ["env.n_dim=8", "env.radius=0.25"], settings)


def exact_body() -> PDController:
    """The particle's own equations."""
    return PDController(
        "pos_agent",
        "vel_agent",
        stiffness=10,
        damping=5,
        substep=0.005,
        substeps=10,
        lookahead=LOOKAHEAD,
    )


def learned_body(env: dict[str, Any]) -> LinearDynamics:
    """The same, from what demonstrations without obstacles show."""
    one = Environment(EnvConfig.from_mapping(env))
    seeds = range(FIRST_DEMONSTRATION, FIRST_DEMONSTRATION + DEMONSTRATIONS)
    episodes = list(rollout([one], build(env["expert"], "env.expert"), seeds, obs_horizon=1))
    one.close()
    names = ("pos_agent", "vel_agent")
    before, after = (
        {
            name: torch.from_numpy(np.concatenate([e.obs[name][part] for e in episodes]))
            for name in names
        }
        for part in (slice(None, -1), slice(1, None))
    )
    action = torch.from_numpy(np.concatenate([e.action for e in episodes]))
    return LinearDynamics.fit(
        names[0],
        names[1:],
        before=before,
        action=action,
        after=after,
        dt=exact_body().dt,
        lookahead=LOOKAHEAD,
    )


def keep_out(env: dict[str, Any], body: ForwardModel) -> list[Energy]:
    """A constraint for each obstacle of an environment, about where the body will be."""
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
    energy = AllOf(policy.energy, *keep_out(env, exact_body()))
    for hard in (False, True):
        careful = ComposedPolicy(policy, energy, hard=hard)
        tally = run_episodes(careful, env, settings.seeds)
        rows.append(tally.row("hard" if hard else "soft", "touched"))
    return rows
