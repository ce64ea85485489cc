"""Act by a policy that was exported to a folder: numpy and onnxruntime, and neither torch nor this library."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ibc_client.searches import Box, Random, search

#: Of the folder; and the file in it that says what the policy sees, does and searches.
FORMAT_VERSION, DESCRIPTION = 1, "policy.json"

Array = NDArray[Any]


class NumpyRandom:
    """Random numbers of one episode."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def uniform(self, *shape: int) -> Array:
        """Draws from U[0, 1)."""
        return self.generator.random(shape, np.float32)

    def normal(self, *shape: int) -> Array:
        """Draws from N(0, 1)."""
        return self.generator.standard_normal(shape, np.float32)


def load_exported(folder: str | Path, *, num_threads: int = 1) -> ExportedPolicy:
    """The policy of a folder that ``ibc export`` has written.

    Args:
        folder: with ``policy.json`` and graphs.
        num_threads: of onnxruntime; small networks are slower with more than one.

    Raises:
        ValueError: it is no such folder, or of a newer format; onnxruntime is missing.
    """
    path = Path(folder) / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no exported policy: {path.name} cannot be read") from error
    if not isinstance(description, dict):
        raise ValueError(f"{folder} is no exported policy: {path.name} has no description")
    if description.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder} has format {description.get('format_version')}; this version reads {FORMAT_VERSION}"
        )
    needed = {"obs_horizon", "action_dim", "num_execute_steps", "obs"}
    if missing := needed - description.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}")
    graphs = ["encoder", "energy"] if "search" in description else ["policy"]
    if lost := [name for name in graphs if not (Path(folder) / f"{name}.onnx").exists()]:
        raise ValueError(f"{folder} lacks the graphs {', '.join(lost)}; export the policy again")
    return ExportedPolicy(Path(folder), description, num_threads)


class ExportedPolicy:
    """Acts step by step, as a controller does: history, chunks and random numbers of one episode.

    Args:
        folder: with the graphs.
        description: what stands in ``policy.json``.
        num_threads: of onnxruntime.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any], num_threads: int) -> None:
        self.description = description
        self.horizon = description["obs_horizon"]
        self._names = sorted(description["obs"])
        self._graphs = {
            path.stem: _session(path, num_threads) for path in sorted(folder.glob("*.onnx"))
        }
        if bounds := description.get("bounds"):
            numbers = {name: np.array(value, np.float32) for name, value in bounds.items()}
            self._center, self._half_range = numbers["center"], numbers["half_range"]
            self._box = Box(numbers["unit_low"], numbers["unit_high"])
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """Begin an episode, whose random numbers follow from ``seed``."""
        self._rng = NumpyRandom(seed)
        self._history: deque[dict[str, Array]] = deque(maxlen=self.horizon)
        self._queue: deque[Array] = deque()

    def step(self, obs: Mapping[str, ArrayLike]) -> Array:
        """The action (D,) for an observation ``{name: (*shape)}``, in the units of the training data.

        Raises:
            ValueError: the observation is not what the policy was trained on.
        """
        self._history.append(self._checked(obs, ()))
        if not self._queue:
            history = list(self._history)
            history = [history[0]] * (self.horizon - len(history)) + history
            window = {name: np.stack([seen[name] for seen in history]) for name in self._names}
            chunk = self.act(window, self._rng)
            self._queue.extend(chunk[: self.description["num_execute_steps"]])
        return self._queue.popleft()

    def act(self, obs: Mapping[str, ArrayLike], rng: Random) -> Array:
        """The action chunk (Ta, D) for a window of observations ``{name: (To, *shape)}``.

        Raises:
            ValueError: the observation is not what the policy was trained on.
        """
        window = self._checked(obs, (self.horizon,))
        inputs = {f"obs.{name}": window[name][None] for name in self._names}
        if "search" in self.description:
            flat = self._search(inputs, rng)
        else:
            draws = self.description["draws"]
            numbers = {f"draw_{i}": getattr(rng, kind)(*s) for i, (kind, s) in enumerate(draws)}
            flat = self._graphs["policy"].run(None, {**inputs, **numbers})[0][0]
        chunk: Array = flat.reshape(-1, self.description["action_dim"])
        return chunk

    def _search(self, inputs: Mapping[str, Array], rng: Random) -> Array:
        numbers, std = self.description["search"], self.description["init_std"]
        features, *proposal = self._graphs["encoder"].run(None, inputs)
        shape = (1, numbers["num_candidates"], len(self._center))
        if std is None:
            init = self._box.low + (self._box.high - self._box.low) * rng.uniform(*shape)
        else:
            shift = std * rng.normal(*shape)
            shift[:, 0] = 0.0
            init = self._box.clamp(proposal[0] + shift)
        unit = search(_Energy(self._graphs, features), self._box, init, rng, numbers)
        action: Array = unit * self._half_range + self._center
        return action

    def _checked(self, obs: Mapping[str, ArrayLike], leading: tuple[int, ...]) -> dict[str, Array]:
        checked = {}
        for name, field in self.description["obs"].items():
            if name not in obs:
                raise ValueError(
                    f"the policy needs observation '{name}'; it was given {', '.join(obs)}"
                )
            array = np.asarray(obs[name])
            expected = (*leading, *field["shape"])
            if array.shape != expected:
                raise ValueError(f"observation '{name}' has shape {array.shape}, not {expected}")
            if field["dtype"] == "uint8" and array.dtype != np.uint8:
                raise ValueError(f"observation '{name}' is {array.dtype}, not {field['dtype']}")
            checked[name] = array.astype(field["dtype"])
            if not np.isfinite(checked[name]).all():
                raise ValueError(f"observation '{name}' is not finite")
        return checked


class _Energy:
    """The graphs of an energy, for one observation."""

    def __init__(self, graphs: Mapping[str, Any], features: Array) -> None:
        self.graphs = graphs
        self.features = {"features": features}

    def score(self, unit: Array, sigma: float | None = None) -> tuple[Array, Array]:
        inputs = {**self.features, "unit": unit}
        if sigma is not None:
            inputs["sigma"] = np.full((1, 1), sigma, np.float32)
        energy, *gradient = self.graphs["energy"].run(None, inputs)
        return energy, gradient[0] if gradient else np.empty(0)

    def prefix(self, unit: Array, j: int) -> Array:
        inputs = {**self.features, "unit": unit, "j": np.array([j])}
        energy: Array = self.graphs["prefix"].run(None, inputs)[0]
        return energy


def _session(path: Path, num_threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("an exported policy needs onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
