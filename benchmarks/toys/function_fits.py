"""Fits of functions of one variable that jump, repeat and take several values."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
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
from ibc.policies import ImplicitPolicy, Policy
from ibc.spec import ObsField

Array = NDArray[np.float64]

#: Training points, and places at which the fit is judged.
NUM_POINTS, NUM_TEST = 400, 401
#: A fit is right within this distance of a value of the function, whose values span two.
TOLERANCE = 0.05
#: Largest value that is searched.
LIMIT = 1.2
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
        branches: (M,) to all values there, (M, K); NaN at the end where there are fewer.
    """

    branches: Callable[[Array], Array]

    def draw(self, x: Array, rng: np.random.Generator) -> Array:
        """One of the values for each x, all with equal probability."""
        values = self.branches(x)
        count = (~np.isnan(values)).sum(1)
        pick = (rng.random(len(x)) * count).astype(np.int64)
        drawn: Array = values[np.arange(len(x)), pick]
        return drawn

    def distance(self, x: Array, y: Array) -> Array:
        """Distance to the nearest value."""
        nearest: Array = np.nanmin(np.abs(self.branches(x) - y[:, None]), axis=1)
        return nearest


def steps(x: Array) -> Array:
    """Four constant pieces."""
    return (np.floor((x + 1) * 2).clip(0, 3) / 1.5 - 1)[:, None]


def sawtooth(x: Array) -> Array:
    """Five teeth."""
    return (2 * np.mod((x + 1) * 2.5, 1.0) - 1)[:, None]


def two_values(x: Array) -> Array:
    """Two curves, both right everywhere."""
    curve = 0.55 + 0.35 * np.sin(3 * x)
    return np.stack([curve, -curve], 1)


def ring(x: Array) -> Array:
    """A circle: two values inside of it, and zero outside."""
    half = np.sqrt(np.clip(0.64 - x**2, 0, None))
    inside = (np.abs(x) < 0.8)[:, None]
    return np.where(inside, np.stack([half, -half], 1), np.array([[0.0, np.nan]]))


RELATIONS = {
    "steps": Relation(steps),
    "sawtooth": Relation(sawtooth),
    "two values": Relation(two_values),
    "ring": Relation(ring),
}


def function_fits(num_steps: int, seed: int) -> tuple[list[Row], Figure]:
    """Each relation fitted by each policy: the share of right values, and an image of all fits."""
    rows: list[Row] = []
    figure, panels = style.panels(
        len(POLICIES), len(RELATIONS), (3.1, 2.9), sharex=True, sharey=True
    )
    test = np.linspace(-1, 1, NUM_TEST)
    for column, (name, relation) in enumerate(RELATIONS.items()):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, NUM_POINTS)
        y = relation.draw(x, rng)
        for panel, (policy_name, settings) in zip(panels[:, column], POLICIES.items(), strict=True):
            start = time.perf_counter()
            steps_and_seed = [f"trainer.num_steps={num_steps}", f"seed={seed}"]
            policy = fit(x, y, [*settings, *COMMON, *steps_and_seed])
            seconds = time.perf_counter() - start
            found = act(policy, as_obs(test)).double().numpy()[:, 0]
            right = float((relation.distance(test, found) <= TOLERANCE).mean())
            row = {"relation": name, "policy": policy_name, "right": right}
            rows.append({**row, "training_seconds": seconds})
            draw(panel, policy, test)
            panel.plot(x, y, ".", color=style.GRAY, markersize=2, label="demonstrations")
            panel.plot(test, found, ".", color=style.VERMILION, markersize=2.5, label="policy")
            panel.set(xlim=(-1, 1), ylim=(-LIMIT, LIMIT))
            panel.set_title(f"{name}, {policy_name}: {right:.1%} right", fontsize=9)
    for panel in panels[-1]:
        panel.set_xlabel("observation")
    for panel in panels[:, 0]:
        panel.set_ylabel("action")
    shown = panels[0, 0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower center", ncols=2, frameon=False, markerscale=3)
    return rows, figure


def fit(x: Array, y: Array, overrides: Sequence[str]) -> Policy:
    """A policy from points."""
    spec = one_step_spec("x", ObsField((1,), "float32"), [-LIMIT], [LIMIT])
    dataset = one_step_dataset(spec, as_obs(x)["x"], y[:, None])
    return train_policy(one_step_trainer(dataset, overrides))


def as_obs(x: Array) -> dict[str, NDArray[np.float32]]:
    """Places as observations."""
    return {"x": x[:, None].astype(np.float32)}


def draw(axes: Axes, policy: Policy, test: Array) -> None:
    """The density of an implicit policy, each column's relative to its highest."""
    if not isinstance(policy, ImplicitPolicy):
        return
    values = torch.linspace(-LIMIT, LIMIT, 201)
    obs = {"x": torch.from_numpy(as_obs(test)["x"]).unsqueeze(1)}
    with torch.no_grad():
        energy = policy.energy.bind(obs)(values.view(1, -1, 1).expand(len(test), -1, 1))
    density = torch.exp(-(energy - energy.amin(1, keepdim=True))).T.numpy()
    axes.pcolormesh(test, values, density, cmap="Blues", shading="nearest", rasterized=True)
