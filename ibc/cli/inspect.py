"""The inspection command: what is in a data set of any format that is read, and a picture of its actions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ibc.d4rl.data import find_task_data
from ibc.data import Episode, read_episodes
from ibc.data.episode import Frames
from ibc.data.formats import find_reader
from ibc.data.loading import find_data
from ibc.data.request import Request
from ibc.errors import UserError
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically

#: Action dimensions and episodes that are drawn.
MAX_PANELS, MAX_EPISODES = 32, 50
COLUMNS = 6
#: Letters of a text that are shown.
LONGEST_TEXT = 60


def inspect(arguments: Sequence[str]) -> None:
    """The command: ``PATH [--output PICTURE.png] [--episode-length N]``; PATH may be the name of a D4RL task.

    Raises:
        UserError: the data set cannot be found or read.
    """
    parser = _Parser(prog="ibc inspect", description=__doc__)
    parser.add_argument("path", help="a data set, or the name of a D4RL task")
    parser.add_argument("--output", type=Path, help="of the picture; NAME_actions.png by default")
    parser.add_argument("--episode-length", type=int, help="where a D4RL file does not tell")
    given = parser.parse_args(arguments)
    path = Path(given.path).expanduser()
    search = ["data", os.environ.get("D4RL_DATASET_DIR", "~/.d4rl/datasets")]
    if not path.exists():
        is_place = bool(path.suffix) or path.is_absolute() or given.path.startswith(".")
        try:
            path = find_data(path, search) if is_place else find_task_data(given.path, search)
        except UserError as error:
            told = "" if is_place else f"there is no data set at {path}; "
            raise UserError(f"{told}{error}") from error
    actions: list[NDArray[np.float32]] = []

    def noted() -> Iterator[Episode]:
        for episode in read_episodes(path, Request(episode_length=given.episode_length)):
            actions.append(episode.action)
            yield episode

    lines = describe(noted())
    print("\n".join([f"{path}: format {find_reader(path)[0]}", *lines]))
    output = given.output or Path(f"{path.stem}_actions.png")
    write_atomically(output, png(action_figure(actions, path.name)))
    print(f"picture: {output}")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the other commands do."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: ibc inspect PATH [--output PICTURE.png] [--episode-length N]")


def describe(episodes: Iterable[Episode]) -> list[str]:
    """Lines for a person: lengths, ends, observations, texts, actions, returns and success.

    Episodes are gone through once. Of pictures, which take long to decode, only the first episode's are looked at.
    """
    lengths, returns, actions, first = [], [], [], []
    terminated = truncated = 0
    seen: dict[str, _Range] = {}
    texts: dict[str, dict[str, None]] = {}
    for number, episode in enumerate(episodes):
        lengths.append(len(episode))
        returns.append(episode.episode_return)
        actions.append(episode.action)
        terminated += episode.terminated
        truncated += episode.truncated and not episode.terminated
        if episode.success.any():
            first.append(int(np.argmax(episode.success)) + 1)
        for name, array in episode.obs.items():
            if number == 0 or not isinstance(array, Frames):
                seen.setdefault(name, _Range(array)).add(array)
        for name, text in episode.text.items():
            texts.setdefault(name, {})[text] = None
    action = np.concatenate(actions)
    lines = [
        f"{len(lengths)} episode{'s' * (len(lengths) != 1)}, {sum(lengths)} steps; lengths {min(lengths)} to {max(lengths)}, "
        f"median {np.median(lengths):g}",
        f"ends: {terminated} terminated, {truncated} truncated, "
        f"{len(lengths) - terminated - truncated} just stop",
        *(f"observation {name}: {found}" for name, found in seen.items()),
        *(f"text {name}: {_examples(list(entries))}" for name, entries in texts.items()),
        f"action: {action.dtype} {action.shape[1:]}, {action.min():.4g} to {action.max():.4g}",
    ]
    for title, values in (("lowest", action.min(0)), ("highest", action.max(0))):
        lines.append(f"  {title}: {' '.join(f'{value:.3g}' for value in values)}")
    lines.append(
        f"return: {min(returns):.4g} to {max(returns):.4g}, mean {np.mean(returns):.4g}, "
        f"median {np.median(returns):.4g}"
    )
    lines.append(
        f"success: {len(first)} of {len(lengths)} episodes, "
        f"first after {np.median(first):g} steps (median), {max(first)} at the latest"
        if first
        else "success: none recorded"
    )
    return lines


class _Range:
    """Smallest and largest number of an observation."""

    def __init__(self, array: NDArray[Any] | Frames) -> None:
        self.kind = f"{array.dtype} {array.shape[1:]}"
        self.part = " in the first episode" if isinstance(array, Frames) else ""
        self.is_vector = isinstance(array, np.ndarray) and array.ndim == 2
        self.lowest: NDArray[Any] | None = None
        self.highest: NDArray[Any] | None = None

    def add(self, array: NDArray[Any] | Frames) -> None:
        for part in array if isinstance(array, Frames) else (array,):
            low, high = (part.min(0), part.max(0)) if self.is_vector else (part.min(), part.max())
            self.lowest = low if self.lowest is None else np.minimum(low, self.lowest)
            self.highest = high if self.highest is None else np.maximum(high, self.highest)

    def __str__(self) -> str:
        assert self.lowest is not None
        assert self.highest is not None
        constant = np.flatnonzero(self.lowest == self.highest) if self.is_vector else ()
        never = f"; numbers that never change: {', '.join(map(str, constant))}"
        return (
            f"{self.kind}, {self.lowest.min():.4g} to {self.highest.max():.4g}{self.part}"
            f"{never * (len(constant) > 0)}"
        )


def _examples(texts: Sequence[str]) -> str:
    """One text, or how many and the first, cut off where it is long."""
    one = texts[0] if len(texts[0]) <= LONGEST_TEXT else texts[0][:LONGEST_TEXT] + "..."
    return f"'{one}'" if len(texts) == 1 else f"{len(texts)} different ones, '{one}' first"


def action_figure(episodes: Sequence[NDArray[np.float32]], title: str) -> Figure:
    """Each action dimension over time, an episode a line, with the distribution of its values beside."""
    dims = min(episodes[0].shape[1], MAX_PANELS)
    columns = min(COLUMNS, dims)
    rows = -(-dims // columns)
    figure, panels = style.panels(rows, columns, (2.9, 2.2))
    action = np.concatenate(episodes)
    shown = episodes[:: -(-len(episodes) // MAX_EPISODES)]
    longest = max(len(episode) for episode in shown)
    for dim, axes in enumerate(panels.ravel()):
        if dim >= dims:
            axes.set_axis_off()
            continue
        for episode in shown:
            axes.plot(episode[:, dim], color=style.BLUE, linewidth=0.5, alpha=0.35)
        count, edges = np.histogram(action[:, dim], bins=40)
        width = 0.22 * longest * count / count.max()
        axes.barh(
            edges[:-1], width, np.diff(edges), 1.03 * longest, align="edge", color=style.ORANGE
        )
        axes.set(title=f"action {dim}", xlabel="step")
    figure.suptitle(
        f"{title}: actions over time ({len(shown)} episodes), their distribution beside",
        parse_math=False,  # names of files may have dollars
    )
    return figure
