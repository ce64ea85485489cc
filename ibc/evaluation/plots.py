"""Pictures of a run: how it learned, and what its energy looks like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibc.checkpoint import Checkpoint
from ibc.control import Controller
from ibc.data.dataset import window_index
from ibc.environment import EnvConfig, Environment
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
    rows = read_metrics(run_dir)
    step = np.array([row["step"] for row in rows])
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    loss = np.array([row["loss"] for row in rows])
    axes.plot(step, loss, color="#9db4dd", linewidth=0.8)
    width = max(1, len(loss) // 50)
    smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
    axes.plot(step[width - 1 :], smooth, color="#2646c8", label="loss (running mean)")
    if rows and "chance" in rows[0]:
        axes.axhline(rows[0]["chance"], color="#888888", linestyle=":", label="nothing learned")
    axes.set(xlabel="gradient step", ylabel="loss", yscale="log" if (loss > 0).all() else "linear")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def energy_map(policy: ImplicitPolicy, checkpoint: Checkpoint, seed: int) -> Figure:
    """The energy over two action dimensions at a few moments of one episode, and the candidates of the search.

    With more than two dimensions, the others are held at the chosen action; with one, the energy is drawn as a curve.
    """
    env = Environment(EnvConfig.from_mapping(checkpoint.config["env"]))
    spec, bounds = policy.spec, policy.bounds
    device = bounds.center.device
    (episode,) = rollout([env], Controller(policy), [seed])
    env.close()
    moments = np.linspace(0, len(episode) - 1, MOMENTS).astype(np.int64)
    figure = Figure(figsize=(3.1 * MOMENTS, 3.2), layout="constrained")
    for axes, t in zip(figure.subplots(1, MOMENTS), moments, strict=True):
        index = window_index(np.array(t), spec.obs_horizon)
        obs = {
            name: torch.from_numpy(episode.obs[name][index]).unsqueeze(0).to(device)
            for name in spec.obs
        }
        rng = PerEpisodeRandom([torch.Generator().manual_seed(seed)], device)
        candidates = policy.search(obs, rng)
        best = bounds.to_unit(candidates.best())
        if spec.action_size == 1:
            energy_curve(axes, policy, obs, candidates)
            axes.set(title=f"step {t}")
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
        axes.pcolormesh(x, y, level, cmap="viridis", shading="nearest", rasterized=True)
        found = candidates.lowest(64).action[0].cpu().numpy()
        axes.plot(found[:, i], found[:, j], ".", color="white", markersize=2, alpha=0.6)
        chosen = candidates.best()[0].cpu().numpy()
        axes.plot(
            chosen[i], chosen[j], "*", color="#ff5a5f", markersize=11, markeredgecolor="white"
        )
        axes.set(title=f"step {t}", xlabel=f"action {i}", ylabel=f"action {j}")
    return figure


def energy_curve(axes: Axes, policy: ImplicitPolicy, obs: Obs, candidates: Candidates) -> None:
    """The energy of a one-dimensional action."""
    bounds = policy.bounds
    unit = torch.linspace(float(bounds.unit_low[0]), float(bounds.unit_high[0]), GRID)
    action = bounds.from_unit(unit.to(bounds.center.device).view(1, GRID, 1))
    with torch.no_grad():
        energy = policy.energy.bind(obs)(action)[0]
    axes.plot(action.flatten().cpu().numpy(), energy.cpu().numpy(), color="#2646c8")
    best = candidates.lowest(1)
    axes.plot(
        best.action.flatten().cpu().numpy(),
        best.energy.flatten().cpu().numpy(),
        "*",
        color="#ff5a5f",
        markersize=11,
    )
    axes.set(xlabel="action", ylabel="energy")


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
