"""The energy of actions at some moments, as images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibc.control import Controller
from ibc.data.dataset import WindowDataset, window_index
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation import style
from ibc.evaluation.plots import new_figure, plain
from ibc.evaluation.rollout import rollout
from ibc.evaluation.video import Frame
from ibc.policies import ImplicitPolicy
from ibc.random import PerEpisodeRandom
from ibc.samplers import Candidates
from ibc.spec import Obs

#: Points along each side of a map.
GRID = 101
#: Moments that are shown.
MOMENTS = 4
#: Most actions that are tried in one call of the energy.
BATCH = 4096


@dataclass(frozen=True)
class Moment:
    """What a policy sees at one moment.

    Attributes:
        title: which moment it is.
        obs: ``{name: (1, To, ...)}``.
        scene: a picture of the environment, (H, W, 3) uint8, or None.
    """

    title: str
    obs: Obs
    scene: Frame | None = None


def moments_of_episode(
    policy: ImplicitPolicy, env: EnvConfig, seed: int, *, render: bool
) -> list[Moment]:
    """What the policy sees at a few moments of an episode in closed loop, with a picture of each if ``render``."""
    environment = Environment(env, render=render)
    frames: list[Frame] = []
    watch = (lambda e: frames.append(e.render())) if render else None
    (episode,) = rollout([environment], Controller(policy), [seed], on_step=watch)
    environment.close()
    device = policy.bounds.center.device
    moments = []
    for t in np.linspace(0, len(episode) - 1, MOMENTS).astype(np.int64):
        index = window_index(np.array(t), policy.spec.obs_horizon)
        obs = {
            name: torch.from_numpy(episode.obs[name][index]).unsqueeze(0).to(device)
            for name in policy.spec.obs
        }
        moments.append(Moment(f"step {t} of seed {seed}", obs, frames[t] if render else None))
    return moments


def moments_of_data(dataset: WindowDataset, device: torch.device) -> list[Moment]:
    """What is seen at a few moments of demonstrations."""
    chosen = torch.linspace(0, len(dataset) - 1, MOMENTS).long()
    return [
        Moment(
            f"example {i}",
            {n: o.to(device) for n, o in dataset.batch(torch.tensor([i])).obs.items()},
        )
        for i in chosen.tolist()
    ]


def energy_maps(policy: ImplicitPolicy, moments: Sequence[Moment], seed: int) -> list[Figure]:
    """The energy over two action dimensions at each moment, and the candidates that the search ends with.

    With more than two dimensions, the others are held at the chosen action; with one, the energy is drawn as a curve.
    """
    figures = []
    for moment in moments:
        rng = PerEpisodeRandom([torch.Generator().manual_seed(seed)], policy.bounds.center.device)
        candidates = policy.search(moment.obs, rng)
        drawn, axes = new_figure(3.6, 3.0)
        draw = draw_curve if policy.spec.action_size == 1 else draw_map
        draw(axes, policy, moment.obs, candidates)
        plain(axes)
        figures.append(drawn)
    return figures


def draw_map(axes: Axes, policy: ImplicitPolicy, obs: Obs, candidates: Candidates) -> None:
    """The energy above its lowest value on the map, with a color bar."""
    bounds = policy.bounds
    best = bounds.to_unit(candidates.best())
    sides = [
        torch.linspace(float(bounds.unit_low[i]), float(bounds.unit_high[i]), GRID) for i in (0, 1)
    ]
    plane = best.repeat(GRID * GRID, 1)
    plane[:, 0] = sides[0].repeat(GRID)
    plane[:, 1] = sides[1].repeat_interleave(GRID)
    action = bounds.from_unit(plane)
    energy = _energies(policy, obs, action).view(GRID, GRID)
    x = action.view(GRID, GRID, -1)[0, :, 0].cpu().numpy()
    y = action.view(GRID, GRID, -1)[:, 0, 1].cpu().numpy()
    above = (energy - energy.min()).cpu().numpy()
    mesh = axes.pcolormesh(
        x, y, np.log1p(above), cmap=style.MAP, shading="nearest", rasterized=True
    )
    bar = axes.figure.colorbar(mesh, ax=axes)
    ticks = np.linspace(0, np.log1p(above.max()), 5).tolist()
    bar.set_ticks(ticks, labels=[f"{value:.2g}" for value in np.expm1(ticks)])
    bar.set_label("energy above the lowest", color=style.GRAY)
    bar.ax.tick_params(colors=style.GRAY)
    bar.outline.set_visible(False)
    found = candidates.lowest(64).action[0].cpu().numpy()
    axes.plot(found[:, 0], found[:, 1], ".", color="white", markersize=3, alpha=0.7)
    chosen = candidates.best()[0].cpu().numpy()
    axes.plot(
        chosen[0], chosen[1], "*", color=style.VERMILION, markersize=13, markeredgecolor="white"
    )
    names = [_name(policy, i) for i in (0, 1)]
    axes.set(xlabel=names[0], ylabel=names[1])


def draw_curve(axes: Axes, policy: ImplicitPolicy, obs: Obs, candidates: Candidates) -> None:
    """The energy of a one-dimensional action."""
    bounds = policy.bounds
    unit = torch.linspace(float(bounds.unit_low[0]), float(bounds.unit_high[0]), GRID)
    action = bounds.from_unit(unit.to(bounds.center.device).view(GRID, 1))
    energy = _energies(policy, obs, action)
    axes.plot(action.flatten().cpu().numpy(), energy.cpu().numpy(), color=style.BLUE)
    best = candidates.lowest(1)
    place = (best.action.flatten().cpu().numpy(), best.energy.flatten().cpu().numpy())
    axes.plot(*place, "*", color=style.VERMILION, markersize=13)
    axes.set(xlabel=_name(policy, 0), ylabel="energy")


def _energies(policy: ImplicitPolicy, obs: Obs, action: torch.Tensor) -> torch.Tensor:
    """Energies (M,) of actions (M, A)."""
    with torch.no_grad():
        bound = policy.energy.bind(obs)
        return torch.cat([bound(part.unsqueeze(0))[0] for part in torch.split(action, BATCH)])


def _name(policy: ImplicitPolicy, i: int) -> str:
    """The name of a number of a chunk, for an axis."""
    step, dimension = divmod(i, policy.spec.action_dim)
    of_chunk = f", step {step + 1} of the chunk" if policy.spec.action_horizon > 1 else ""
    return f"action dimension {dimension + 1}{of_chunk}"
