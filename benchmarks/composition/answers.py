"""Two habits, together and apart; and how sure an energy is of what it says."""

from __future__ import annotations

from typing import Any

import matplotlib.figure
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.composition.closed_loop import Settings, rate, trained
from ibc.cli.config import build
from ibc.energies import AllOf, AnyOf, Energy, Not
from ibc.environment import EnvConfig, Environment
from ibc.evaluation.plots import png
from ibc.evaluation.rollout import rollout
from ibc.files import write_atomically
from ibc.policies.modes import doubt as doubt_of
from ibc.random import BatchRandom
from ibc.spec import Obs

#: At this temperature energies of curvature one are densities of a width of a seventh of the half-range.
TEMPERATURE = 0.02
#: Points along each side of the grid on which probabilities are summed.
GRID = 101
#: Habits differ where start and goals are so far apart from one another (units).
APART = 0.25
#: How far observed positions are moved out of what was demonstrated (units), and the quantile that raises doubt.
SHIFTS, QUANTILE = (0.0, 0.25, 0.5, 1.0, 2.0), 0.95


def habits(settings: Settings) -> list[dict[str, Any]]:
    """Which goal comes first: probabilities of either at the start, by exact sums over a grid.

    The share of an episode is the probability of all actions nearer to the second goal than to the first.
    """
    first, checkpoint = trained("particle_2d", settings)
    second, _ = trained("particle_2d_reverse", settings)
    obs = _starts(checkpoint.config["env"], settings)
    line = torch.linspace(0, 1, GRID)
    grid = torch.cartesian_prod(line, line).unsqueeze(0)
    nearer = (grid - obs["pos_second_goal"][:, -1:]).norm(dim=-1) < (
        grid - obs["pos_first_goal"][:, -1:]
    ).norm(dim=-1)
    own = [AllOf(policy.energy, temperatures=[TEMPERATURE]) for policy in (first, second)]
    either = AnyOf(*own, weights=[0.5, 0.5], names=["first", "second"])
    energies: dict[str, Energy] = {
        "first habit alone": own[0],
        "second habit alone": own[1],
        "either": either,
        "either, not the second": AllOf(either, Not(own[1])),
    }
    shares = {name: _share(energy, obs, grid, nearer) for name, energy in energies.items()}
    write_atomically(
        settings.pictures / "compose_habits.png",
        png(_maps({n: _density(e, obs, grid)[0] for n, e in energies.items()}, obs)),
    )
    rows: list[dict[str, Any]] = []
    for name, share in shares.items():
        row: dict[str, Any] = {"variant": name, "mass_of_second": float(share.mean())}
        if name == "either":
            kept = (share - 0.5).abs() <= 0.1
            row |= rate("success", int(kept.sum()), len(kept))
        if name.endswith("not the second"):
            gone = share <= 0.02
            row |= rate("success", int(gone.sum()), len(gone))
        rows.append(row)
    return rows


def doubt(settings: Settings) -> list[dict[str, Any]]:
    """How often doubt is raised: on what was demonstrated, on held-out demonstrations, and farther and farther away."""
    policy, checkpoint = trained("particle_2d", settings)
    known = _demonstrated(checkpoint.config["env"], range(len(settings.seeds)))
    held_out = _demonstrated(checkpoint.config["env"], settings.seeds)

    def measure(obs: Obs) -> Float[Tensor, " B"]:
        rng = BatchRandom(torch.Generator(settings.device).manual_seed(0))
        return doubt_of(policy.energy.bind(obs), policy.search(obs, rng), policy.bounds)

    reference = measure(known)
    threshold = torch.quantile(reference, QUANTILE)
    rows, curves = [], {}
    for shift in SHIFTS:
        moved = {
            name: value - shift * (name == "pos_agent") * torch.ones_like(value)
            for name, value in held_out.items()
        }
        curves[shift] = measure(moved)
        raised = int((curves[shift] > threshold).sum())
        name = "held-out demonstrations" if shift == 0 else f"moved by {shift:g} in each dimension"
        rows.append({"variant": name, "shift": shift, **rate("raised", raised, len(reference))})
    write_atomically(settings.pictures / "compose_doubt.png", png(_calibration(reference, curves)))
    return rows


def _starts(env: dict[str, Any], settings: Settings) -> Obs:
    """First observations (B, 2, 2) of the episodes whose goals are apart."""
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
    apart = nearest >= APART
    return {name: value[apart].to(settings.device) for name, value in obs.items()}


def _demonstrated(env: dict[str, Any], seeds: range) -> Obs:
    """One observation window (B, 2, D) from the middle of the expert's episode of each seed."""
    one = Environment(EnvConfig.from_mapping(env))
    episodes = list(rollout([one], build(env["expert"], "env.expert"), seeds, obs_horizon=1))
    one.close()
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


def _share(energy: Energy, obs: Obs, grid: Tensor, nearer: Tensor) -> Float[Tensor, " B"]:
    share: Tensor = (_density(energy, obs, grid) * nearer).sum(1)
    return share


def _maps(densities: dict[str, Tensor], obs: Obs) -> matplotlib.figure.Figure:
    figure = matplotlib.figure.Figure(figsize=(10, 2.8), layout="constrained")
    for axes, (name, density) in zip(figure.subplots(1, 4), densities.items(), strict=True):
        level = np.log10(density.view(GRID, GRID).T.cpu().numpy() + 1e-12)
        axes.imshow(
            level, origin="lower", extent=(0, 1, 0, 1), vmin=level.max() - 5, cmap="viridis"
        )
        for goal, mark in (("pos_first_goal", "1"), ("pos_second_goal", "2")):
            x, y = obs[goal][0, -1].tolist()
            axes.annotate(mark, (x, y), color="white", ha="center", va="center")
        axes.plot(*obs["pos_agent"][0, -1].tolist(), "o", color="#ff5a5f")
        axes.set(title=name, xticks=[], yticks=[])
    return figure


def _calibration(reference: Tensor, curves: dict[float, Tensor]) -> matplotlib.figure.Figure:
    figure = matplotlib.figure.Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    expected = np.linspace(0.02, 0.98, 49)
    levels = torch.quantile(reference, torch.from_numpy(1 - expected).float())
    observed = [(curves[0.0] > level).float().mean().item() for level in levels]
    left.plot([0, 1], [0, 1], ":", color="#888888")
    left.plot(expected, observed, color="#2646c8")
    left.set(xlabel="doubted among known", ylabel="doubted among held-out")
    for shift, values in curves.items():
        ordered = np.sort(values.cpu().numpy())
        right.plot(ordered, np.linspace(0, 1, len(ordered)), label=f"moved by {shift:g}")
    right.axvline(float(torch.quantile(reference, QUANTILE)), color="#888888", linestyle=":")
    right.set(xlabel="doubt", ylabel="part of observations below", xscale="log")
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
