"""Particle policies among unseen obstacles, in a corridor and with longer searches; the time of constraints."""

import time
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.composition.episodes import (
    Settings,
    env_config,
    expert_episodes,
    load_trained,
    measure_all,
)
from benchmarks.results import Row
from ibc.composition import AllOf
from ibc.constraints import KeepOutDisk, LinearDynamics, PDController, SpeedLimit, StayWithin
from ibc.constraints.dynamics import ForwardModel
from ibc.energies import Energy, TypicalSet
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy
from ibc.random import BatchRandom
from ibc.samplers import DFO, GradientDescent

#: Added to the radius of obstacles (units), because the body moves on between the points that are checked.
MARGIN = 0.01
#: Control steps of the prediction, and seeds of demonstrations from which the one-step model is learned.
LOOKAHEAD, DEMONSTRATIONS = 20, range(20)
#: By which the energy of the goals is divided in the corridor; chosen on seeds from 300000, as was the search.
GOALS_TEMPERATURE = 0.1
#: Iterations of the search in 16 dimensions, gradient descent in small steps of one size.
ITERATIONS, STEP = (5, 10, 20, 50, 100, 200), 0.1
#: Decisions timed, in turn for all policies.
REPEATS = 40


def particle_2d(settings: Settings) -> list[Row]:
    """One to three disks of radius 0.1, half of them moving; at last with a learned one-step model."""
    policy, free_env = load_trained("particle_2d", settings)
    env = env_config("particle_obstacles", "env.n_dim=2", "env.radius=0.1", "env.speed=0.15")
    learned = AllOf(policy.energy, *keep_out(env, learned_dynamics(free_env)))
    careful = {"hard, learned one-step model": ComposedPolicy(policy, learned, hard=True)}
    return [*_rows(policy, env, settings), *measure_all(careful, env, settings, "touched")]


def particle_8d(settings: Settings) -> list[Row]:
    """One to three balls of radius 0.25."""
    policy, _ = load_trained("particle_8d", settings)
    env = env_config("particle_obstacles", "env.n_dim=8", "env.radius=0.25")
    return _rows(policy, env, settings)


def corridor(settings: Settings) -> list[Row]:
    """Each alone, and both: the corridor's energy gives the feasible set, that of the goals its best action."""
    goals, _ = load_trained("particle_2d", settings)
    walls, _ = load_trained("particle_corridor", settings)
    env = env_config("particle_corridor")
    alone = {"goals alone": goals, "corridor alone": walls}
    rows = measure_all(alone, env, settings, "left")
    goals.sampler = DFO(  # the edge of a set has no gradient to follow
        num_candidates=512,
        num_iterations=4,
        noise_std=0.1,
        shrink=0.5,
        temperature=GOALS_TEMPERATURE / 2,
    )
    energy = AllOf(
        goals.energy,
        TypicalSet(walls.energy),
        temperatures=[GOALS_TEMPERATURE, 1.0],
        names=["goals", "corridor"],
    )
    both = {"both": ComposedPolicy(goals, energy)}
    return [*rows, *measure_all(both, env, settings, "left")]


def particle_16d(settings: Settings) -> list[Row]:
    """One trained energy in 16 dimensions, searched for longer and longer."""
    policy, env = load_trained("particle_16d", settings)
    rows = []
    for count in ITERATIONS:
        policy.sampler = GradientDescent(
            num_candidates=4, num_iterations=count, step_init=STEP, step_final=STEP, delta_clip=0.5
        )
        (row,) = measure_all({f"{count} iterations": policy}, env, settings)
        rows.append({**row, "iterations": count})
    write_atomically(settings.images / "compose_iterations.png", png(iterations_figure(rows)))
    return rows


def latency(settings: Settings) -> list[Row]:
    """Least time of a decision for one environment: alone, with three disks, and with three different constraints."""
    policy, _ = load_trained("particle_2d", settings)
    model = particle_dynamics()
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
    obs = {
        name: torch.rand(1, 2, 2, generator=generator).to(settings.device)
        for name in policy.spec.obs
    }
    seconds: dict[str, list[float]] = {name: [] for name in policies}
    for repeat in range(REPEATS):
        for name, one in policies.items():
            rng = BatchRandom(torch.Generator().manual_seed(repeat))
            start = time.perf_counter()
            with torch.no_grad():
                one.act(obs, rng)
            seconds[name].append(time.perf_counter() - start)
    least = {name: 1e3 * min(values) for name, values in seconds.items()}
    return [
        {"variant": name, "decision_ms": ms, "times_without": ms / least["without"]}
        for name, ms in least.items()
    ]


def particle_dynamics(
    substep: float = 0.005, substeps: int = 10, lookahead: int = LOOKAHEAD
) -> PDController:
    """The particle's own equations, which are integrated in these steps."""
    body: dict[str, Any] = {"stiffness": 10, "damping": 5, "substep": substep, "substeps": substeps}
    return PDController("pos_agent", "vel_agent", **body, lookahead=lookahead)


def learned_dynamics(env: dict[str, Any]) -> LinearDynamics:
    """The same, learned from demonstrations without obstacles."""
    episodes = expert_episodes(env, DEMONSTRATIONS)
    names = ("pos_agent", "vel_agent")
    before, after = (
        {
            name: torch.from_numpy(np.concatenate([e.obs[name][part] for e in episodes]))
            for name in names
        }
        for part in (slice(None, -1), slice(1, None))
    )
    return LinearDynamics.fit(
        names[0],
        names[1:],
        before=before,
        action=torch.from_numpy(np.concatenate([e.action for e in episodes])),
        after=after,
        dt=particle_dynamics().dt,
        lookahead=LOOKAHEAD,
    )


def keep_out(env: dict[str, Any], model: ForwardModel) -> list[Energy]:
    """A constraint for each obstacle of an environment on the predicted positions."""
    radius = env["radius"] + MARGIN
    return [
        KeepOutDisk(f"pos_obstacle_{k}", radius, velocity=f"vel_obstacle_{k}", model=model)
        for k in range(1, env["num_obstacles"] + 1)
    ]


def _rows(policy: ImplicitPolicy, env: dict[str, Any], settings: Settings) -> list[Row]:
    energy = AllOf(policy.energy, *keep_out(env, particle_dynamics()))
    variants: dict[str, Policy] = {
        "without": policy,
        "soft": ComposedPolicy(policy, energy),
        "hard": ComposedPolicy(policy, energy, hard=True),
    }
    return measure_all(variants, env, settings, "touched")


def iterations_figure(rows: list[Row]) -> Figure:
    """Success over the iterations of the search, with its interval."""
    figure, ((axes,),) = style.panels(1, 1, (5.5, 3.2))
    x = [row["iterations"] for row in rows]
    ends = 100 * np.array([row["success_rate_ci95"] for row in rows]).T
    axes.fill_between(x, *ends, color=style.PALE, label="95 % interval")
    success = [100 * row["success_rate"] for row in rows]
    axes.plot(x, success, "o-", color=style.BLUE, label="success of 100 episodes")
    axes.set(xscale="log", xticks=x, xticklabels=x, xlabel="iterations of the search")
    axes.set_ylabel("success (%)")
    axes.set_ylim(-3, 103)
    axes.minorticks_off()
    style.legend(axes, loc="upper left")
    return figure
