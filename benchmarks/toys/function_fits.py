"""Fits of functions of one variable that jump, repeat and take several values: what an implicit policy is for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.toys.one_step import one_step_dataset, train_policy
from ibc.policies import ImplicitPolicy, Policy
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec

Array = NDArray[np.float64]

#: Points to learn from, and places at which the fit is judged.
NUM_POINTS, NUM_TEST = 400, 401
#: A fit is right within this distance of a value of the function, whose values span two.
TOLERANCE = 0.05
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
    "network.width=128",
    "network.num_blocks=2",
    "trainer.batch_size=128",
    "trainer.warmup_steps=50",
    "optimizer.lr=2e-3",
]


@dataclass(frozen=True)
class Relation:
    """Values that belong to x in [-1, 1].

    Attributes:
        branches: (M,) to all values there, (M, K); NaN where there are fewer.
    """

    branches: Callable[[Array], Array]

    def draw(self, x: Array, rng: np.random.Generator) -> Array:
        """One of the values for each x, all with equal right."""
        values = self.branches(x)
        order = np.argsort(np.isnan(values), axis=1, kind="stable")
        count = (~np.isnan(values)).sum(1)
        pick = (rng.random(len(x)) * count).astype(np.int64)
        chosen: Array = np.take_along_axis(values, np.take_along_axis(order, pick[:, None], 1), 1)
        return chosen[:, 0]

    def distance(self, x: Array, y: Array) -> Array:
        """To the nearest value."""
        nearest: Array = np.nanmin(np.abs(self.branches(x) - y[:, None]), axis=1)
        return nearest


def steps(x: Array) -> Array:
    """Four levels."""
    return (np.floor((x + 1) * 2).clip(0, 3) / 1.5 - 1)[:, None]


def sawtooth(x: Array) -> Array:
    """Five teeth."""
    return (2 * np.mod((x + 1) * 2.5, 1.0) - 1)[:, None]


def two_values(x: Array) -> Array:
    """Two curves, both right everywhere."""
    curve = 0.55 + 0.35 * np.sin(3 * x)
    return np.stack([curve, -curve], 1)


def ring(x: Array) -> Array:
    """A circle: two values inside of it, and outside the straight lines on which it ends."""
    half = np.sqrt(np.clip(0.64 - x**2, 0, None))
    return np.where(
        (np.abs(x) < 0.8)[:, None], np.stack([half, -half], 1), np.array([[0.0, np.nan]])
    )


RELATIONS = {
    "steps": Relation(steps),
    "sawtooth": Relation(sawtooth),
    "two values": Relation(two_values),
    "ring": Relation(ring),
}


def function_fits(num_steps: int, seed: int) -> tuple[list[dict[str, Any]], Figure]:
    """Each relation fitted by each policy: how often the fit is right, and a picture of them all."""
    rows: list[dict[str, Any]] = []
    figure = Figure(figsize=(3.1 * len(RELATIONS), 5.6), layout="constrained")
    panels = figure.subplots(len(SETTINGS), len(RELATIONS), sharex=True, sharey=True)
    test = np.linspace(-1, 1, NUM_TEST)
    for column, (name, relation) in enumerate(RELATIONS.items()):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, NUM_POINTS)
        y = relation.draw(x, rng)
        for row, (policy_name, settings) in enumerate(SETTINGS.items()):
            start = time.perf_counter()
            policy = fit(
                x, y, [*settings, *COMMON, f"trainer.num_steps={num_steps}", f"seed={seed}"]
            )
            seconds = time.perf_counter() - start
            found = evaluate(policy, test)
            right = float((relation.distance(test, found) <= TOLERANCE).mean())
            rows.append(
                {
                    "relation": name,
                    "policy": policy_name,
                    "right": right,
                    "training_seconds": seconds,
                }
            )
            print(f"{name}, {policy_name}: {right:.1%} right, {seconds:.0f} s", flush=True)
            draw(panels[row, column], policy, x, y, test, found)
            panels[row, column].set_title(f"{name}, {policy_name}: {right:.0%} right", fontsize=9)
    return rows, figure


def fit(x: Array, y: Array, overrides: Sequence[str]) -> Policy:
    """A policy from points."""
    spec = Spec(
        obs={"x": ObsField((1,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.2,),
        action_high=(1.2,),
    )
    obs = {"x": x[:, None].astype(np.float32)}
    dataset = one_step_dataset(spec, obs, y[:, None].astype(np.float32))
    return train_policy(spec, dataset, overrides)


def evaluate(policy: Policy, x: Array) -> Array:
    """The policy's answer at each x."""
    rng = PerEpisodeRandom(
        [torch.Generator().manual_seed(i) for i in range(len(x))], torch.device("cpu")
    )
    found: Array = policy.act_flat(as_obs(x), rng).detach().double().numpy()
    return found[:, 0]


def as_obs(x: Array) -> dict[str, torch.Tensor]:
    """Places as observations."""
    return {"x": torch.from_numpy(x.astype(np.float32)).view(-1, 1, 1)}


def draw(axes: Axes, policy: Policy, x: Array, y: Array, test: Array, found: Array) -> None:
    """Data, answers and, where there is one, the energy: each column's relative to its lowest."""
    if isinstance(policy, ImplicitPolicy):
        values = torch.linspace(-1.2, 1.2, 201)
        with torch.no_grad():
            action = values.view(1, -1, 1).expand(len(test), -1, 1)
            energy = policy.energy.bind(as_obs(test))(action)
        density = torch.exp(-(energy - energy.amin(1, keepdim=True)))
        axes.pcolormesh(
            test,
            values.numpy(),
            density.T.numpy(),
            cmap="Blues",
            shading="nearest",
            rasterized=True,
        )
    axes.plot(x, y, ".", color="#888888", markersize=2)
    axes.plot(test, found, ".", color="#d1342f", markersize=2.5)
    axes.set(xlim=(-1, 1), ylim=(-1.2, 1.2))
