"""Energies, regression and diffusion over tasks with three training seeds of each: profiles and means with intervals.

python -m benchmarks.pages.profiles docs/pictures/profiles.png

After Agarwal et al. 2021 (arXiv 2108.13264): a profile says which part of the runs has at least some success; intervals
are of a bootstrap that draws training seeds within each task.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import read_result
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically

#: Files of results by task; those of a task that is named in several files are the same runs.
FILES = (
    "particle_2d", "particle_16d", "block_push_states", "block_push_discontinuous_states", "block_insert_states",
    "block_push_multimodal_states", "block_sort_states", "planar_sweep_state", "planar_sweep_image",
    "bimanual_sweep_image", "door_human",
)  # fmt: skip
#: Policies in them, and how they are drawn.
POLICIES = {
    "implicit": ("energy", style.BLUE), "mse": ("regression", style.VERMILION), "diffusion": ("diffusion", style.GREEN),
}  # fmt: skip
SEEDS, DRAWS = 3, 10_000
#: Success rates of runs: a row for each task, a column for each training seed.
Rates = NDArray[np.float64]


def rates(results: Path) -> dict[str, Rates]:
    """Success rates (tasks, training seeds) of each policy.

    Raises:
        ValueError: a task has no such policy, or another number of training seeds.
    """
    found: dict[str, list[list[float]]] = {policy: [] for policy in POLICIES}
    for name in FILES:
        rows = {row["policy"]: row for row in read_result(results / f"{name}.json")["rows"]}
        for policy, by_task in found.items():
            by_seed = rows[policy]["success_rate_by_seed"] if policy in rows else []
            if len(by_seed) != SEEDS:
                raise ValueError(f"{name}: {len(by_seed)} training seeds of {policy}")
            by_task.append(by_seed)
    return {policy: np.array(by_task) for policy, by_task in found.items()}


def interquartile_mean(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half of the last axis, whose quarters are rounded down."""
    count = runs.shape[-1]
    middle: NDArray[np.float64] = np.sort(runs)[..., count // 4 : count - count // 4].mean(-1)
    return middle


def drawn(runs: Rates, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw training seeds of each task with replacement, ``DRAWS`` times; (draws, runs)."""
    index = rng.integers(runs.shape[1], size=(DRAWS, *runs.shape))
    return np.take_along_axis(np.broadcast_to(runs, index.shape), index, axis=-1).reshape(DRAWS, -1)


MEANS = {
    "mean": lambda runs: runs.mean(-1),
    "interquartile mean": interquartile_mean,
    "median": lambda runs: np.median(runs, axis=-1),
}


def picture(by_policy: Mapping[str, Rates]) -> bytes:
    """Profiles on the left, means with 95 % intervals on the right."""
    figure, axes = style.panels(1, 2, (4.2, 2.8))
    left, right = axes[0]
    rng = np.random.default_rng(0)
    levels = np.linspace(0, 1, 201)
    for place, (policy, (name, color)) in enumerate(POLICIES.items()):
        runs = by_policy[policy]
        many = drawn(runs, rng)
        profiles = at_least(many, levels)
        low, high = np.quantile(profiles, [0.025, 0.975], axis=0)
        left.plot(
            100 * levels, 100 * at_least(runs.reshape(1, -1), levels)[0], color=color, label=name
        )
        left.fill_between(100 * levels, 100 * low, 100 * high, color=color, alpha=0.2, linewidth=0)
        for row, mean in enumerate(MEANS.values()):
            value = 100 * float(mean(runs.reshape(-1)))
            ends = 100 * np.quantile(mean(many), [0.025, 0.975])
            y = len(MEANS) - row - 0.25 * place
            right.plot(ends, [y, y], color=color, linewidth=5, alpha=0.3, solid_capstyle="butt")
            right.plot(value, y, "o", color=color, markersize=5)
            right.annotate(
                f"{value:.0f}",
                (value, y),
                (0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    left.set(xlabel="at least this success (%)", ylabel="of the runs (%)", ylim=(0, 103))
    style.legend(left, loc="lower left")
    right.set(xlabel="success (%)", yticks=[len(MEANS) - row - 0.25 for row in range(len(MEANS))])
    right.set_yticklabels(list(MEANS))
    right.set_ylim(0.3, len(MEANS) + 0.5)
    return png(figure)


def at_least(runs: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of each row of runs with at least each level of success."""
    ordered = np.sort(runs)
    below = np.stack([np.searchsorted(row, levels - 1e-9) for row in ordered])
    part: NDArray[np.float64] = 1 - below / runs.shape[-1]
    return part


if __name__ == "__main__":
    write_atomically(Path(sys.argv[1]), picture(rates(Path("results"))))
    print(f"file: {sys.argv[1]}")
