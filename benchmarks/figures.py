"""Bar charts of the timing rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def benchmark_bars(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Milliseconds of each workload, plain and fast side by side, and how many times faster."""
    figure = Figure(figsize=(7, 0.9 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(rows))
    axes.barh(y - 0.2, [r["plain_ms"] for r in rows], 0.36, color="#c4c9d4", label="plain float32")
    axes.barh(y + 0.2, [r["ms"] for r in rows], 0.36, color="#2646c8", label="this project")
    for i, row in enumerate(rows):
        axes.text(row["ms"], i + 0.2, f"  {row['ratio']:.1f} x", va="center", fontsize=9)
    axes.set(yticks=y, yticklabels=[r["name"] for r in rows], xlabel="ms", xscale="log")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure
