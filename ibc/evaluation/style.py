"""One look for every figure: axes, sizes of text, and colors that stay distinct where color vision is deficient."""

from __future__ import annotations

from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

#: The palette of Okabe and Ito (2008), without black and yellow. Energies are blue, what they are compared with
#: vermilion.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = (
    "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7",
)  # fmt: skip
#: Of references and demonstrations; of bands and of single values behind their mean.
GRAY, PALE = "#767676", "#b9d3e8"
#: Colors of a quantity over a plane: of even steps in lightness, dark is low.
MAP = "viridis"


def panels(
    rows: int, columns: int, size: tuple[float, float], **shared: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure of ``rows`` x ``columns`` axes, and these as an array of that shape.

    Args:
        rows: of axes.
        columns: of axes.
        size: width and height of one of them, inches.
        shared: ``sharex``, ``sharey`` and the like, of :meth:`matplotlib.figure.Figure.subplots`.
    """
    with rc_context(
        {
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY]),
        }
    ):
        figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def legend(axes: Axes, **where: Any) -> None:
    """The legend of the axes, without a frame; ``where`` as for :meth:`matplotlib.axes.Axes.legend`."""
    axes.legend(frameon=False, fontsize=8, **where)
