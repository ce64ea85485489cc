"""Curves of runs: loss, its terms, and measures on held-out episodes or in closed loop."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibc.evaluation import style
from ibc.training.validation import RISING

#: Rows of metrics by the name of a run.
Rows = Mapping[str, Sequence[Mapping[str, float]]]

#: Of runs, in their order.
COLORS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
#: Terms whose level without any knowledge is logged as ``chance``.
WITH_CHANCE = ("info_nce", "prefix_nce", "ranking_nce")
#: The share of random actions below the shown one, of an energy that knows nothing.
CHANCE_RANK = 0.5
#: Numbers of a row that are not parts of the loss.
_OTHERS = {"step", "loss", "chance", "gradient_norm", "lr", "seconds"}


def training_curves(runs: Rows) -> list[tuple[str, Figure]]:
    """The loss over gradient steps, then each of its terms, all runs in one figure.

    The level of an energy that knows nothing is drawn for contrastive terms, whose value it is, and for the loss only
    where that is such a term and nothing else.
    """
    terms = {
        name
        for rows in runs.values()
        for row in rows
        for name in row
        if name not in _OTHERS and "/" not in name and not name.startswith("energy_")
    }
    repeated = {
        term
        for term in terms
        if all(_is_the_loss(term, rows) for rows in runs.values() if _has(term, rows))
    }
    is_contrastive = all(
        any(_is_the_loss(term, rows) for term in WITH_CHANCE) for rows in runs.values()
    )
    shown = [
        name
        for name in ("loss", *sorted(terms - repeated))
        if any(_has(name, rows) for rows in runs.values())
    ]
    figures = []
    for name in shown:
        drawn, axes = new_figure()
        for (run, rows), color in zip(runs.items(), COLORS * len(runs), strict=False):
            steps, values = series(rows, name)
            if len(steps):
                draw_smoothed(axes, steps, values, color, run)
        has_level = name in WITH_CHANCE or (name == "loss" and is_contrastive)
        levels = {row["chance"] for rows in runs.values() for row in rows if "chance" in row}
        if has_level and len(levels) == 1:
            axes.axhline(levels.pop(), color=style.GRAY, linestyle=":", label="nothing learned")
        finish(axes, "gradient step", name.replace("_", " "))
        figures.append((name.replace("_", " "), drawn))
    return figures


def held_out_curves(runs: Rows) -> list[tuple[str, Figure]]:
    """Each measure on held-out demonstrations, or in closed loop, over gradient steps."""
    names = sorted({name for rows in runs.values() for row in rows for name in row if "/" in name})
    figures = []
    for name in names:
        measure = name.partition("/")[2]
        drawn, axes = new_figure()
        for (run, rows), color in zip(runs.items(), COLORS * len(runs), strict=False):
            steps, values = series(rows, name)
            if not len(steps):
                continue
            axes.plot(steps, values, ".-", color=color, markersize=5, label=run)
        if measure == "rank":
            axes.axhline(
                CHANCE_RANK, color=style.GRAY, linestyle=":", label="no better than chance"
            )
        finish(
            axes,
            "gradient step",
            measure.replace("_", " "),
            legend=len(runs) > 1 or measure == "rank",
        )
        better = "more is better" if measure in RISING else "less is better"
        figures.append((f"{name.replace('/', ', ').replace('_', ' ')} ({better})", drawn))
    return figures


def series(rows: Sequence[Mapping[str, float]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a number that some rows have."""
    points = [(row["step"], row[name]) for row in rows if name in row]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return np.array(steps, dtype=float), np.array(values, dtype=float)


def new_figure(width: float = 3.6, height: float = 2.5) -> tuple[Figure, Axes]:
    """A figure without a background."""
    drawn, ((axes,),) = style.panels(1, 1, (width, height))
    drawn.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    return drawn, axes


def draw_smoothed(
    axes: Axes, steps: np.ndarray, values: np.ndarray, color: str, label: str
) -> None:
    """A curve, and its running mean over a fiftieth of it."""
    width = max(1, len(values) // 50)
    axes.plot(steps, values, color=color, linewidth=0.7, alpha=0.35 if width > 1 else 1.0)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    axes.plot(steps[width - 1 :], smooth, color=color, linewidth=1.8, label=label)


def finish(axes: Axes, x: str, y: str, *, legend: bool = True) -> None:
    """Name the axes, color text and lines, and choose a logarithmic scale where all values are positive."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() > 20 * finite.min():
        axes.set_yscale("log")
    axes.set(xlabel=x, ylabel=y)
    plain(axes)
    if legend and axes.get_legend_handles_labels()[0]:
        style.legend(axes, labelcolor=style.GRAY)


def plain(axes: Axes) -> None:
    """Color text and lines so that they are legible on light and on dark pages."""
    axes.tick_params(colors=style.GRAY, which="both")
    axes.xaxis.label.set_color(style.GRAY)
    axes.yaxis.label.set_color(style.GRAY)
    axes.title.set_color(style.GRAY)
    for spine in axes.spines.values():
        spine.set_color(style.GRAY)


def png(drawn: Figure) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _has(term: str, rows: Sequence[Mapping[str, float]]) -> bool:
    return any(term in row for row in rows)


def _is_the_loss(term: str, rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether a term is the loss in every row."""
    return all(
        term in row and math.isclose(row[term], row["loss"], rel_tol=1e-5, abs_tol=1e-9)
        for row in rows
        if "loss" in row
    )
