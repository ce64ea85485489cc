"""Searches for the action of lowest energy, in numpy: the same steps and random numbers as those of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Random(Protocol):
    """A source of random numbers in single precision."""

    def uniform(self, *shape: int) -> Array:
        """Draws from U[0, 1)."""
        ...

    def normal(self, *shape: int) -> Array:
        """Draws from N(0, 1)."""
        ...


class Energy(Protocol):
    """An energy of candidates (1, N, A) in the unit cube, for one observation."""

    def score(self, unit: Array, sigma: float | None = None) -> tuple[Array, Array]:
        """Energies (1, N) and their gradient (1, N, A), which is empty for searches that need none."""
        ...

    def prefix(self, unit: Array, j: int) -> Array:
        """Energies (1, N) of the first j + 1 dimensions."""
        ...


@dataclass(frozen=True)
class Box:
    """Where actions are searched, in the unit cube: ``low`` and ``high`` (A,)."""

    low: Array
    high: Array

    def clamp(self, unit: Array) -> Array:
        """The nearest point of the box."""
        return np.clip(unit, self.low, self.high)


def search(energy: Energy, box: Box, init: Array, rng: Random, numbers: Mapping[str, Any]) -> Array:
    """The action (A,) of lowest energy that a search finds.

    Args:
        energy: of one observation.
        box: of the search.
        init: candidates (1, N, A) to start from.
        rng: of the search.
        numbers: its name and settings.

    Raises:
        ValueError: a search of that name is not known.
    """
    if numbers["name"] not in _SEARCHES:
        raise ValueError(f"there is no search {numbers['name']}; there are {', '.join(_SEARCHES)}")
    unit, values = _SEARCHES[numbers["name"]](energy, box, init, rng, numbers)
    best: Array = unit[0, values[0].argmin()]
    return best


def _gradient_descent(
    energy: Energy, box: Box, unit: Array, rng: Random, numbers: Mapping[str, Any]
) -> tuple[Array, Array]:
    limit = numbers["delta_clip"] * np.float32(0.5) * (box.high - box.low)
    settle, noise_std = numbers["settle"], numbers["noise_std"]
    for step in numbers["steps"]:
        direction = 0.5 * energy.score(unit)[1]
        if noise_std is not None:
            direction = direction + noise_std * rng.normal(*unit.shape)
        moved = box.clamp(unit - np.clip(step * direction, -limit, limit))
        if settle is not None and np.abs(moved - unit).max() <= settle:
            break
        unit = moved
    return unit, energy.score(unit)[0]


def _probability_flow(
    energy: Energy, box: Box, init: Array, rng: Random, numbers: Mapping[str, Any]
) -> tuple[Array, Array]:
    levels = numbers["levels"]
    unit = numbers["init_scale"] * levels[0] * rng.normal(*init.shape)
    for now, then in zip(levels, [*levels[1:], 0.0], strict=True):
        unit = unit - (1 - then / now) * energy.score(unit, now)[1]
    unit = box.clamp(unit)
    return unit, energy.score(unit, levels[-1])[0] if unit.shape[1] > 1 else np.zeros((1, 1))


def _dfo(
    energy: Energy, box: Box, unit: Array, rng: Random, numbers: Mapping[str, Any]
) -> tuple[Array, Array]:
    values = energy.score(unit)[0]
    for std in numbers["stds"]:
        chosen = _resample(values, rng.uniform(*values.shape), numbers["temperature"])
        unit = box.clamp(unit[:, chosen] + std * rng.normal(*unit.shape))
        values = energy.score(unit)[0]
    return unit, values


def _autoregressive_dfo(
    energy: Energy, box: Box, unit: Array, rng: Random, numbers: Mapping[str, Any]
) -> tuple[Array, Array]:
    stds, size = numbers["stds"], unit.shape[-1]
    total = np.zeros(unit.shape[:2], np.float32)
    for i, std in enumerate(stds):
        total = np.zeros(unit.shape[:2], np.float32)
        for j in range(size):
            if i > 0:
                unit = unit.copy()
                unit[..., j] += std * rng.normal(*unit.shape[:2])
                unit = box.clamp(unit)
            values = energy.prefix(unit, j)
            total = total + values
            if i < len(stds) - 1 or j < size - 1:
                chosen = _resample(values, rng.uniform(*values.shape), numbers["temperature"])
                unit = np.concatenate([unit[:, chosen, : j + 1], unit[..., j + 1 :]], -1)
                total = total[:, chosen]
    finalists = unit[:, np.argsort(total[0], kind="stable")[: numbers["num_scored"]]]
    return finalists, energy.score(finalists)[0]


def _resample(values: Array, uniform: Array, temperature: float) -> Array:
    """Indices (N,), drawn with replacement in proportion to ``exp(-value / temperature)``."""
    logits = (-values[0] / temperature).astype(np.float64)
    weights = np.exp(logits - logits.max())
    cdf = (weights / weights.sum()).cumsum()
    drawn = np.searchsorted(cdf, uniform[0].astype(np.float64) * cdf[-1])
    chosen: Array = np.minimum(drawn, values.shape[1] - 1)
    return chosen


_SEARCHES = {
    "gradient_descent": _gradient_descent,
    "probability_flow": _probability_flow,
    "dfo": _dfo,
    "autoregressive_dfo": _autoregressive_dfo,
}
