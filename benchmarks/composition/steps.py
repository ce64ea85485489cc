"""Harder problems for more iterations: one trained energy, searched for longer and longer."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import numpy as np

from benchmarks.composition.closed_loop import Settings, run_episodes, trained
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.samplers import IBCLangevin

#: Iterations of the search, and its step: plain descent that gets somewhere in 50 steps.
ITERATIONS = (5, 10, 20, 50, 100, 200)
STEP = 0.1


def particle_16d(settings: Settings) -> list[dict[str, Any]]:
    """Success in 16 dimensions against the number of iterations of a search in small steps of one size."""
    policy, checkpoint = trained("particle_16d", settings)
    rows = []
    for count in ITERATIONS:
        policy.sampler = IBCLangevin(
            num_candidates=4,
            num_iterations=count,
            step_init=STEP,
            step_final=STEP,
            noise_std=0.0,
            delta_clip=0.5,
        )
        tally = run_episodes(policy, checkpoint.config["env"], settings.seeds)
        rows.append({**tally.row(f"{count} iterations"), "iterations": count})
    write_atomically(settings.pictures / "compose_iterations.png", png(_curve(rows)))
    return rows


def _curve(rows: list[dict[str, Any]]) -> matplotlib.figure.Figure:
    figure = matplotlib.figure.Figure(figsize=(5.5, 3.2), layout="constrained")
    axes = figure.subplots()
    x = np.array([row["iterations"] for row in rows])
    y = np.array([row["success_rate"] for row in rows])
    ends = np.array([row["success_rate_ci95"] for row in rows]).T
    axes.fill_between(x, *ends, color="#d5def5", label="95 % interval")
    axes.plot(x, y, "o-", color="#2646c8")
    axes.set(xscale="log", xticks=x, xticklabels=x, xlabel="iterations", ylabel="success")
    axes.set_ylim(-0.03, 1.03)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure
