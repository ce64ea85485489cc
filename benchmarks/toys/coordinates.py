"""Visual coordinate regression: where is the square? From few pictures, inside and outside of what they span."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.toys.one_step import one_step_dataset, train_policy
from ibc.policies import Policy
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec

#: Of the picture and of the green square, in pixels.
SIDE, SQUARE = 96, 7
#: Held-out squares.
NUM_TEST = 500
#: The same body for both, and the same steps.
SETTINGS = {
    "implicit": [
        "policy=implicit",
        "energy_loss=info_nce",
        "negatives=mixed",
        "sampler=dfo_langevin",
    ],
    "mse": ["policy=mse"],
}
COMMON = [
    "encoder=equivariant",
    "network.width=256",
    "trainer.batch_size=8",
    "trainer.warmup_steps=50",
    "optimizer.lr=1e-3",
    "optimizer._target_=torch.optim.AdamW",
    "+optimizer.weight_decay=0.3",
]


def coordinate_regression(counts: Sequence[int], num_steps: int, seed: int) -> list[dict[str, Any]]:
    """Implicit and MSE policies from so many pictures each: errors in pixels at test points, and their positions."""
    rows = []
    for count in counts:
        rng = np.random.default_rng(seed)
        every = np.stack(np.meshgrid(*[np.arange(SQUARE // 2, SIDE - SQUARE // 2)] * 2), -1)
        order = rng.permutation(every.reshape(-1, 2))
        known, test = order[:count], order[count : count + NUM_TEST]
        inside = in_hull(test, known)
        for name in SETTINGS:
            start = time.perf_counter()
            policy = train_coordinates(name, known, num_steps, seed)
            seconds = time.perf_counter() - start
            error = np.linalg.norm(predict(policy, test) - test, axis=1)
            rows.append(
                {
                    "policy": name,
                    "num_pictures": count,
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
            print(summary(rows[-1]), flush=True)
    return rows


def summary(row: dict[str, Any]) -> str:
    """One line."""
    return (
        f"{row['num_pictures']} pictures, {row['policy']}: {row['within_one_pixel']:.1%} within a pixel, "
        f"mean squared error inside {row['mse_inside']:.3g}, outside {row['mse_outside']:.3g} px^2, "
        f"{row['training_seconds']:.0f} s"
    )


def train_coordinates(
    name: str, known: NDArray[np.int64], num_steps: int, seed: int, extra: Sequence[str] = ()
) -> Policy:
    """A policy from pictures of squares at ``known`` pixels."""
    spec = Spec(
        obs={"image": ObsField((SIDE, SIDE, 3), "uint8")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=1,
        action_low=(0.0, 0.0),
        action_high=(SIDE - 1.0, SIDE - 1.0),
    )
    dataset = one_step_dataset(spec, {"image": pictures(known)}, known.astype(np.float32))
    overrides = [*SETTINGS[name], *COMMON, f"trainer.num_steps={num_steps}", f"seed={seed}", *extra]
    return train_policy(spec, dataset, overrides, whole_range=True)


def predict(policy: Policy, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Where a policy sees the squares, in pixels."""
    found = []
    for part in np.array_split(positions, max(1, len(positions) // 50)):
        rng = PerEpisodeRandom(
            [torch.Generator().manual_seed(i) for i in range(len(part))], torch.device("cpu")
        )
        obs = {"image": torch.from_numpy(pictures(part)).unsqueeze(1)}
        found.append(policy.act_flat(obs, rng).detach().numpy())
    return np.concatenate(found)


def pictures(positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """White pictures (M, SIDE, SIDE, 3) with a green square around each position (column, row)."""
    out = np.full((len(positions), SIDE, SIDE, 3), 255, dtype=np.uint8)
    half = SQUARE // 2
    for image, (x, y) in zip(out, positions, strict=True):
        image[y - half : y + half + 1, x - half : x + half + 1] = (0, 170, 60)
    return out


def in_hull(points: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which points lie in the convex hull of the known ones (Andrew's monotone chain)."""
    corners = hull(known)
    edges = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    inside = np.ones(len(points), dtype=np.bool_)
    for a, b in edges:
        left = (b[0] - a[0]) * (points[:, 1] - a[1]) - (b[1] - a[1]) * (points[:, 0] - a[0])
        inside &= left >= 0
    return inside


def hull(known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Corners of the convex hull, counter-clockwise."""
    ordered = sorted(map(tuple, known.tolist()))
    chains = []
    for points in (ordered, ordered[::-1]):
        chain: list[tuple[int, ...]] = []
        for p in points:
            while len(chain) > 1 and _turns_right(chain[-2], chain[-1], p):
                chain.pop()
            chain.append(p)
        chains += chain[:-1]
    return np.array(chains)


def _turns_right(a: tuple[int, ...], b: tuple[int, ...], c: tuple[int, ...]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0


def coordinate_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """A map of errors for each row: crosses are known, the line is the hull of what is known."""
    counts = list(dict.fromkeys(row["num_pictures"] for row in rows))
    figure = Figure(figsize=(3.3 * 2 + 0.8, 3.4 * len(counts)), layout="constrained")
    panels = figure.subplots(len(counts), 2, squeeze=False).flatten()
    for axes, row in zip(panels, rows, strict=True):
        test, known = np.array(row["test"]), np.array(row["known"])
        shades = axes.scatter(
            test[:, 0], test[:, 1], c=np.log10(np.maximum(row["error"], 1e-2)), s=16, cmap="inferno_r",
            vmin=-1, vmax=1.5, linewidths=0,
        )  # fmt: skip
        corners = hull(known)
        closed = np.concatenate([corners, corners[:1]])
        axes.plot(closed[:, 0], closed[:, 1], color="#2646c8", linewidth=1)
        axes.plot(known[:, 0], known[:, 1], "x", color="#2646c8", markersize=5)
        axes.set(
            title=f"{row['policy']}, {row['num_pictures']} pictures: {row['within_one_pixel']:.1%} within 1 px",
            xlim=(0, SIDE - 1),
            ylim=(SIDE - 1, 0),
            aspect="equal",
        )
        axes.title.set_fontsize(9)
    bar = figure.colorbar(shades, ax=panels, shrink=0.7, ticks=[-1, 0, 1])
    bar.set_ticklabels(["0.1 px", "1 px", "10 px"])
    return figure
