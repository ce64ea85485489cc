"""Probabilities of two habits, together and apart; and the OOD score of an energy, calibrated."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.composition.episodes import Settings, expert_episodes, load_trained
from benchmarks.intervals import rate
from benchmarks.results import Row
from ibc.composition import AllOf, AnyOf, Not
from ibc.energies import Energy
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies import modes
from ibc.random import BatchRandom
from ibc.spec import Obs

#: At this temperature energies of curvature one are densities of a width of a seventh of the half-range.
TEMPERATURE = 0.02
#: Points along each side of the grid on which probabilities are summed.
GRID = 101
#: Least distance between start and goals (units): habits differ where these are apart.
MIN_DISTANCE = 0.25
#: Offsets of observed positions from what was demonstrated (units), and the quantile above which scores are flagged.
SHIFTS, QUANTILE = (0.0, 0.25, 0.5, 1.0, 2.0), 0.95


def habits(settings: Settings) -> list[Row]:
    """Which goal comes first: probabilities of either at the start, by exact sums over a grid.

    The mass of an episode is the probability of all actions nearer to the second goal than to the first.
    """
    first, env = load_trained("particle_2d", settings)
    second, _ = load_trained("particle_2d_reverse", settings)
    obs = _starts(env, settings)
    line = torch.linspace(0, 1, GRID)
    grid = torch.cartesian_prod(line, line).unsqueeze(0)
    to_first, to_second = (
        (grid - obs[f"pos_{name}_goal"][:, -1:]).norm(dim=-1) for name in ("first", "second")
    )
    own = [AllOf(policy.energy, temperatures=[TEMPERATURE]) for policy in (first, second)]
    either = AnyOf(*own, weights=[0.5, 0.5], names=["first", "second"])
    energies: dict[str, Energy] = {
        "first habit alone": own[0],
        "second habit alone": own[1],
        "either": either,
        "either, not the second": AllOf(either, Not(own[1])),
    }
    wanted = {"either": (0.4, 0.6), "either, not the second": (0.0, 0.02)}
    rows, maps = [], {}
    for name, energy in energies.items():
        density = _density(energy, obs, grid)
        maps[name] = density[0]
        mass = (density * (to_second < to_first)).sum(1)
        row: Row = {"variant": name, "mass_of_second": float(mass.mean())}
        if name in wanted:
            low, high = wanted[name]
            row |= rate("success", int(((mass >= low) & (mass <= high)).sum()), len(mass))
        rows.append(row)
    write_atomically(settings.images / "compose_habits.png", png(_draw_maps(maps, obs)))
    return rows


def ood_score(settings: Settings) -> list[Row]:
    """How often the score is flagged: on held-out demonstrations, and farther and farther away from them."""
    policy, env = load_trained("particle_2d", settings)

    def score(obs: Obs) -> Float[Tensor, " B"]:
        rng = BatchRandom(torch.Generator(settings.device).manual_seed(0))
        return modes.ood_score(policy.energy.bind(obs), policy.search(obs, rng), policy.bounds)

    reference = score(_demonstrated(env, range(len(settings.seeds))))
    held_out = _demonstrated(env, settings.seeds)
    threshold = torch.quantile(reference, QUANTILE)
    rows, curves = [], {}
    for shift in SHIFTS:
        curves[shift] = score({**held_out, "pos_agent": held_out["pos_agent"] - shift})
        flagged = int((curves[shift] > threshold).sum())
        name = "held-out demonstrations" if shift == 0 else f"moved by {shift:g} in each dimension"
        rows.append({"variant": name, "shift": shift, **rate("flagged", flagged, len(reference))})
    image = png(_draw_calibration(reference, curves))
    write_atomically(settings.images / "compose_ood_score.png", image)
    return rows


def _starts(env: dict[str, Any], settings: Settings) -> Obs:
    """First observations (B, 2, 2) of the episodes whose start and goals are apart."""
    one = Environment(EnvConfig.from_mapping(env))
    rows = [one.reset(seed) for seed in settings.seeds]
    one.close()
    obs = {
        name: torch.from_numpy(np.stack([row[name] for row in rows]))[:, None].expand(-1, 2, -1)
        for name in rows[0]
    }
    start, first, second = (
        obs[f"pos_{name}"][:, 0] for name in ("agent", "first_goal", "second_goal")
    )
    nearest = torch.stack([start - first, start - second, first - second]).norm(dim=-1).amin(0)
    return {name: value[nearest >= MIN_DISTANCE].to(settings.device) for name, value in obs.items()}


def _demonstrated(env: dict[str, Any], seeds: range) -> Obs:
    """One observation window (B, 2, D) from the middle of the expert's episode of each seed."""
    episodes = expert_episodes(env, seeds)
    moments = [3 + seed % (len(e) - 10) for seed, e in zip(seeds, episodes, strict=True)]
    return {
        name: torch.from_numpy(
            np.stack([e.obs[name][t - 1 : t + 1] for e, t in zip(episodes, moments, strict=True)])
        )
        for name in episodes[0].obs
    }


@torch.no_grad()
def _density(energy: Energy, obs: Obs, grid: Float[Tensor, "1 N A"]) -> Float[Tensor, "B N"]:
    rows = []
    for b in range(len(next(iter(obs.values())))):  # one at a time: the grid is large
        one = {name: value[b : b + 1] for name, value in obs.items()}
        rows.append(torch.softmax(-energy.bind(one)(grid).double(), 1)[0])
    return torch.stack(rows)


def _draw_maps(densities: dict[str, Tensor], obs: Obs) -> Figure:
    figure, ((*row,),) = style.panels(1, 4, (2.6, 2.9), sharex=True, sharey=True)
    for axes, (name, density) in zip(row, densities.items(), strict=True):
        log = np.log10(density.view(GRID, GRID).T.cpu().numpy() + 1e-12)
        shades = axes.imshow(
            log, origin="lower", extent=(0, 1, 0, 1), vmin=-8, vmax=-2, cmap=style.MAP
        )
        for goal, mark in (("pos_first_goal", "1"), ("pos_second_goal", "2")):
            x, y = obs[goal][0, -1].tolist()
            axes.annotate(mark, (x, y), color="white", ha="center", va="center")
        axes.plot(*obs["pos_agent"][0, -1].tolist(), "o", color=style.VERMILION, label="start")
        axes.set(title=name, xlabel="set-point x (room widths)")
    row[0].set_ylabel("set-point y (room widths)")
    row[0].legend(fontsize=8, loc="upper right")
    figure.colorbar(
        shades, ax=row, shrink=0.8, label="log10 of the probability\nof a cell of the grid"
    )
    return figure


def _draw_calibration(reference: Tensor, curves: dict[float, Tensor]) -> Figure:
    figure, ((left, right),) = style.panels(1, 2, (4.5, 3.2))
    expected = np.linspace(0.02, 0.98, 49)
    thresholds = torch.quantile(reference, torch.from_numpy(1 - expected).float())
    observed = [(curves[0.0] > threshold).float().mean().item() for threshold in thresholds]
    left.plot([0, 1], [0, 1], ":", color=style.GRAY, label="calibrated")
    left.plot(expected, observed, color=style.BLUE, label="OOD score")
    left.set(xlabel="share flagged in training data", ylabel="share flagged in held-out data")
    for shift, values in curves.items():
        ordered = np.sort(values.cpu().numpy())
        label = f"moved by {shift:g}" if shift else "held-out data"
        right.plot(ordered, np.linspace(0, 1, len(ordered)), label=label)
    right.axvline(
        float(torch.quantile(reference, QUANTILE)),
        color=style.GRAY,
        linestyle=":",
        label="threshold",
    )
    right.set(xlabel="OOD score", ylabel="share of observations below", xscale="log")
    style.legend(left)
    style.legend(right)
    return figure
