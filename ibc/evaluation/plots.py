"""Pictures of a run: how it learned, and what its energy looks like."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibc.control import Controller
from ibc.data.dataset import WindowDataset, window_index
from ibc.environment import EnvConfig, Environment
from ibc.evaluation import style
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy
from ibc.random import PerEpisodeRandom
from ibc.samplers import Candidates
from ibc.spec import Obs
from ibc.training.loggers import read_metrics

#: Points along each side of the energy map.
GRID = 101
#: Moments of the episode that are shown.
MOMENTS = 4


def learning_curve(run_dir: Path) -> Figure:
    """The loss over gradient steps, with the level of a policy that has learned nothing where there is one."""
    rows = [row for row in read_metrics(run_dir) if "loss" in row]
    step = np.array([row["step"] for row in rows])
    figure, ((axes,),) = style.panels(1, 1, (7, 3.2))
    loss = np.array([row["loss"] for row in rows])
    axes.plot(step, loss, color=style.PALE, linewidth=0.8)
    width = max(1, len(loss) // 50)
    smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
    axes.plot(step[width - 1 :], smooth, color=style.BLUE, label="loss (running mean)")
    if rows and "chance" in rows[0]:
        axes.axhline(rows[0]["chance"], color=style.GRAY, linestyle=":", label="nothing learned")
    axes.set(xlabel="gradient step", ylabel="loss", yscale="log" if (loss > 0).all() else "linear")
    style.legend(axes)
    return figure


def held_out_curves(run_dir: Path) -> Figure | None:
    """Each measure on held-out demonstrations, or in closed loop, over gradient steps; None if none was taken."""
    rows = [row for row in read_metrics(run_dir) if any("/" in name for name in row)]
    names = sorted({name for row in rows for name in row if "/" in name})
    if not names:
        return None
    columns = min(3, len(names))
    height = -(-len(names) // columns)
    figure, axes_of = style.panels(height, columns, (3, 2.3))
    grid = axes_of.ravel()
    for axes, name in zip(grid, names, strict=False):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), ".-", color=style.BLUE, markersize=4)
        axes.set(xlabel="gradient step", title=name.partition("/")[2].replace("_", " "))
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure


#: What a policy sees at one moment, with a title for it.
Moment = tuple[str, Obs]


def moments_of_episode(policy: ImplicitPolicy, env: EnvConfig, seed: int) -> list[Moment]:
    """What the policy sees at a few moments of an episode in closed loop."""
    environment = Environment(env)
    (episode,) = rollout([environment], Controller(policy), [seed])
    environment.close()
    device = policy.bounds.center.device
    moments = []
    for t in np.linspace(0, len(episode) - 1, MOMENTS).astype(np.int64):
        index = window_index(np.array(t), policy.spec.obs_horizon)
        obs = {
            name: torch.from_numpy(episode.obs[name][index]).unsqueeze(0).to(device)
            for name in policy.spec.obs
        }
        moments.append((f"step {t}", obs))
    return moments


def moments_of_data(dataset: WindowDataset, device: torch.device) -> list[Moment]:
    """What is seen at a few moments of demonstrations."""
    chosen = torch.linspace(0, len(dataset) - 1, MOMENTS).long()
    return [
        (
            f"example {i}",
            {n: o.to(device) for n, o in dataset.batch(torch.tensor([i])).obs.items()},
        )
        for i in chosen.tolist()
    ]


def energy_map(policy: ImplicitPolicy, moments: Sequence[Moment], seed: int) -> Figure:
    """The energy over two action dimensions at some moments, and the candidates of the search.

    With more than two dimensions, the others are held at the chosen action; with one, the energy is drawn as a curve.
    """
    spec, bounds = policy.spec, policy.bounds
    device = bounds.center.device
    figure, ((*row,),) = style.panels(1, len(moments), (3.1, 3.2))
    for axes, (title, obs) in zip(row, moments, strict=True):
        rng = PerEpisodeRandom([torch.Generator().manual_seed(seed)], device)
        candidates = policy.search(obs, rng)
        best = bounds.to_unit(candidates.best())
        if spec.action_size == 1:
            energy_curve(axes, policy, obs, candidates)
            axes.set(title=title)
            continue
        i, j = 0, 1
        u = torch.linspace(float(bounds.unit_low[i]), float(bounds.unit_high[i]), GRID)
        v = torch.linspace(float(bounds.unit_low[j]), float(bounds.unit_high[j]), GRID)
        plane = best.repeat(GRID * GRID, 1)
        plane[:, j] = v.repeat_interleave(GRID)
        plane[:, i] = u.repeat(GRID)
        action = bounds.from_unit(plane)
        with torch.no_grad():
            energy = policy.energy.bind(obs)(action.unsqueeze(0))[0].view(GRID, GRID)
        level = torch.log1p(energy - energy.min()).cpu().numpy()
        x = action.view(GRID, GRID, -1)[0, :, i].cpu().numpy()
        y = action.view(GRID, GRID, -1)[:, 0, j].cpu().numpy()
        axes.pcolormesh(x, y, level, cmap=style.MAP, shading="nearest", rasterized=True)
        found = candidates.lowest(64).action[0].cpu().numpy()
        axes.plot(found[:, i], found[:, j], ".", color="white", markersize=2, alpha=0.6)
        chosen = candidates.best()[0].cpu().numpy()
        axes.plot(
            chosen[i], chosen[j], "*", color=style.VERMILION, markersize=11, markeredgecolor="white"
        )
        axes.set(title=title, xlabel=f"action {i}", ylabel=f"action {j}")
    return figure


def energy_curve(axes: Axes, policy: ImplicitPolicy, obs: Obs, candidates: Candidates) -> None:
    """The energy of a one-dimensional action."""
    bounds = policy.bounds
    unit = torch.linspace(float(bounds.unit_low[0]), float(bounds.unit_high[0]), GRID)
    action = bounds.from_unit(unit.to(bounds.center.device).view(1, GRID, 1))
    with torch.no_grad():
        energy = policy.energy.bind(obs)(action)[0]
    axes.plot(action.flatten().cpu().numpy(), energy.cpu().numpy(), color=style.BLUE)
    best = candidates.lowest(1)
    axes.plot(
        best.action.flatten().cpu().numpy(),
        best.energy.flatten().cpu().numpy(),
        "*",
        color=style.VERMILION,
        markersize=11,
    )
    axes.set(xlabel="action", ylabel="energy")


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
