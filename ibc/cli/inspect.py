"""The inspection command: what is in a data set of any format that is read, and a picture of its actions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ibc.d4rl.data import find_task_data
from ibc.data import Episode, read_episodes
from ibc.data.formats import find_reader
from ibc.data.loading import find_data
from ibc.data.request import Request
from ibc.evaluation.plots import png
from ibc.files import write_atomically

#: Action dimensions and episodes that are drawn.
MAX_PANELS, MAX_EPISODES = 32, 50
COLUMNS = 6


def inspect(arguments: Sequence[str]) -> None:
    """The command: ``PATH [--output PICTURE.png] [--episode-length N]``; PATH may be the name of a D4RL task.

    Raises:
        UserError: the data set cannot be found or read.
    """
    parser = argparse.ArgumentParser(prog="inspect_data.py", description=__doc__)
    parser.add_argument("path", help="a data set, or the name of a D4RL task")
    parser.add_argument("--output", type=Path, help="of the picture; NAME_actions.png by default")
    parser.add_argument("--episode-length", type=int, help="where a D4RL file does not tell")
    given = parser.parse_args(arguments)
    path = Path(given.path)
    search = ["data", os.environ.get("D4RL_DATASET_DIR", "~/.d4rl/datasets")]
    if not path.exists():
        path = find_data(path, search) if path.suffix else find_task_data(given.path, search)
    episodes = list(read_episodes(path, Request(episode_length=given.episode_length)))
    print("\n".join([f"{path}: format {find_reader(path)[0]}", *describe(episodes)]))
    output = given.output or Path(f"{path.stem}_actions.png")
    write_atomically(output, png(action_figure(episodes, path.name)))
    print(f"picture: {output}")


def describe(episodes: Sequence[Episode]) -> list[str]:
    """Lines for a person: lengths, ends, observations, actions, returns and success."""
    lengths = np.array([len(episode) for episode in episodes])
    returns = np.array([episode.episode_return for episode in episodes])
    terminated = sum(episode.terminated for episode in episodes)
    truncated = sum(episode.truncated and not episode.terminated for episode in episodes)
    lines = [
        f"{len(episodes)} episodes, {lengths.sum()} steps; lengths {lengths.min()} to {lengths.max()}, "
        f"median {np.median(lengths):g}",
        f"ends: {terminated} terminated, {truncated} truncated, "
        f"{len(episodes) - terminated - truncated} just stop",
    ]
    for name in episodes[0].obs:
        arrays = [episode.obs[name] for episode in episodes]
        ends = [(float(np.min(a)), float(np.max(a))) for a in map(np.asarray, arrays)]
        low, high = min(e[0] for e in ends), max(e[1] for e in ends)
        lines.append(
            f"observation {name}: {arrays[0].dtype} {arrays[0].shape[1:]}, {low:.4g} to {high:.4g}"
        )
    action = np.concatenate([episode.action for episode in episodes])
    lines.append(
        f"action: {action.dtype} {action.shape[1:]}, {action.min():.4g} to {action.max():.4g}"
    )
    for title, values in (("lowest", action.min(0)), ("highest", action.max(0))):
        lines.append(f"  {title}: {' '.join(f'{value:.3g}' for value in values)}")
    lines.append(
        f"return: {returns.min():.4g} to {returns.max():.4g}, mean {returns.mean():.4g}, "
        f"median {np.median(returns):.4g}"
    )
    first = [int(np.argmax(episode.success)) + 1 for episode in episodes if episode.success.any()]
    lines.append(
        f"success: {len(first)} of {len(episodes)} episodes, "
        f"first after {np.median(first):g} steps (median), {max(first)} at the latest"
        if first
        else "success: none recorded"
    )
    return lines


def action_figure(episodes: Sequence[Episode], title: str) -> Figure:
    """Each action dimension over time, an episode a line, with the distribution of its values beside."""
    dims = min(episodes[0].action.shape[1], MAX_PANELS)
    columns = min(COLUMNS, dims)
    rows = -(-dims // columns)
    figure = Figure(figsize=(2.6 * columns + 0.6, 1.9 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    action = np.concatenate([episode.action for episode in episodes])
    shown = episodes[:: -(-len(episodes) // MAX_EPISODES)]
    longest = max(len(episode) for episode in shown)
    for dim, axes in enumerate(panels):
        if dim >= dims:
            axes.set_axis_off()
            continue
        for episode in shown:
            axes.plot(episode.action[:, dim], color="#2646c8", linewidth=0.5, alpha=0.35)
        count, edges = np.histogram(action[:, dim], bins=40)
        width = 0.22 * longest * count / count.max()
        axes.barh(edges[:-1], width, np.diff(edges), 1.03 * longest, align="edge", color="#e08a3c")
        axes.set_title(f"action {dim}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{title}: actions over time ({len(shown)} episodes), their distribution beside"
    )
    return figure
