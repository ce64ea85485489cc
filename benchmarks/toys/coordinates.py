"""Visual coordinate regression: the position of a square, from few images, inside and outside of their convex hull."""

import time
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.results import Row
from benchmarks.toys.one_step import (
    POLICIES,
    act,
    one_step_dataset,
    one_step_spec,
    one_step_trainer,
    train_policy,
)
from ibc.evaluation import style
from ibc.policies import Policy
from ibc.spec import ObsField

#: Of the image and of the green square, in pixels.
SIDE, SQUARE = 96, 7
#: Held-out squares.
NUM_TEST = 500
#: The same network for both policies, and the same steps.
COMMON = [
    "encoder=equivariant",
    "network.width=256",
    "trainer.batch_size=8",
    "trainer.warmup_steps=50",
    "optimizer.lr=1e-3",
    "optimizer._target_=torch.optim.AdamW",
    "+optimizer.weight_decay=0.3",
]


def coordinate_regression(counts: Sequence[int], num_steps: int, seed: int) -> list[Row]:
    """Errors (px) of both policies trained on each number of images, at test positions."""
    rows = []
    for count in counts:
        rng = np.random.default_rng(seed)
        every = np.stack(np.meshgrid(*[np.arange(SQUARE // 2, SIDE - SQUARE // 2)] * 2), -1)
        order = rng.permutation(every.reshape(-1, 2))
        known, test = order[:count], order[count : count + NUM_TEST]
        inside = in_hull(test, known)
        for name in POLICIES:
            start = time.perf_counter()
            policy = train_coordinates(name, known, num_steps, seed)
            seconds = time.perf_counter() - start
            error = np.linalg.norm(predict(policy, test) - test, axis=1)
            rows.append(
                {
                    "policy": name,
                    "num_images": count,
                    "within_one_pixel": float((error <= 1).mean()),
                    "mse_inside": float((error[inside] ** 2).mean()),
                    "mse_outside": float((error[~inside] ** 2).mean()),
                    "median_error": float(np.median(error)),
                    "training_seconds": seconds,
                    "known": known.tolist(),
                    "test": test.tolist(),
                    "error": error.round(4).tolist(),
                }
            )
    return rows


def train_coordinates(
    name: str, known: NDArray[np.int64], num_steps: int, seed: int, extra: Sequence[str] = ()
) -> Policy:
    """A policy from images of squares at ``known`` pixels."""
    image = ObsField((SIDE, SIDE, 3), "uint8")
    spec = one_step_spec("image", image, [0.0, 0.0], [SIDE - 1.0, SIDE - 1.0])
    dataset = one_step_dataset(spec, images(known), known.astype(np.float32))
    overrides = [*POLICIES[name], *COMMON, f"trainer.num_steps={num_steps}", f"seed={seed}", *extra]
    return train_policy(one_step_trainer(dataset, overrides), whole_range=True)


def predict(policy: Policy, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Predicted positions of the squares, in pixels."""
    parts = np.array_split(positions, max(1, len(positions) // 50))
    return np.concatenate([act(policy, {"image": images(part)}).numpy() for part in parts])


def images(positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """White images (M, SIDE, SIDE, 3) with a green square around each position (column, row)."""
    out = np.full((len(positions), SIDE, SIDE, 3), 255, dtype=np.uint8)
    half = SQUARE // 2
    for image, (x, y) in zip(out, positions, strict=True):
        image[y - half : y + half + 1, x - half : x + half + 1] = (0, 170, 60)
    return out


def in_hull(points: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether points lie in the convex hull of the known ones."""
    corners = hull(known)
    return np.array([cv2.pointPolygonTest(corners, p, False) >= 0 for p in points.astype(float)])


def hull(known: NDArray[np.int64]) -> NDArray[np.int32]:
    """Corners of the convex hull."""
    corners: NDArray[np.int32] = cv2.convexHull(known.astype(np.int32))[:, 0]
    return corners


def coordinate_figure(rows: Sequence[Row]) -> Figure:
    """A map of errors for each row: crosses are training positions, the line is their convex hull."""
    counts = list(dict.fromkeys(row["num_images"] for row in rows))
    figure, panels = style.panels(len(counts), 2, (3.7, 3.4), sharex=True, sharey=True)
    for axes, row in zip(panels.ravel(), rows, strict=True):
        test, known = np.array(row["test"]), np.array(row["known"])
        shades = axes.scatter(
            *test.T, c=np.log10(np.maximum(row["error"], 1e-2)), s=16, cmap=style.MAP,
            vmin=-1, vmax=1, linewidths=0,
        )  # fmt: skip
        axes.plot(*known.T, "x", color=style.VERMILION, markersize=5, label="training positions")
        corners = hull(known)[[*range(len(hull(known))), 0]]
        axes.plot(*corners.T, color=style.VERMILION, linewidth=1, label="their convex hull")
        title = f"{row['policy']}, {row['num_images']} images: {row['within_one_pixel']:.1%} within 1 px"
        axes.set(xlim=(0, SIDE - 1), ylim=(SIDE - 1, 0), aspect="equal")
        axes.set_title(title, fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("column (px)")
    for axes in panels[:, 0]:
        axes.set_ylabel("row (px)")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=8,
    )
    bar = figure.colorbar(
        shades, ax=panels, shrink=0.7, ticks=[-1, 0, 1], label="distance from the true position"
    )
    bar.set_ticklabels(["0.1 px", "1 px", "10 px"])
    return figure
