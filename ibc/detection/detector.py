"""Conformal p-values of decisions: how usual they are among those on demonstrations."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from ibc.component import describe
from ibc.construct import construct, trusted_packages
from ibc.data.damage import DAMAGE
from ibc.detection.decision import Decision
from ibc.detection.scores import Score
from ibc.errors import UserError
from ibc.files import write_atomically

FORMAT_VERSION = 1


class Detector:
    """Scores of decisions with what they were in calibration; made by :func:`ibc.detection.calibrate`.

    Scores are standardized by those of the reference at about the same time in their episodes. The value of a decision
    is the mean of its standardized scores, and that is averaged over the last ``window`` decisions of the episode. Its
    **confidence** is a conformal p-value among the largest averages of the n calibration episodes:

        ``confidence = (1 + number of calibration episodes whose largest average is at least this one) / (n + 1)``

    A decision is in doubt where ``confidence <= false_alarms``. The rate is meant **per episode**: of episodes that are
    exchangeable with those of calibration, at most that share has any decision in doubt (split conformal prediction,
    Vovk et al. 2005), on average over calibrations. Demonstrations and a policy's own episodes are not exchangeable.

    Args:
        scores: of a decision, fitted.
        center, scale: of the reference's scores by the number of the decision, (T, S); the last row holds later on.
        calibration: (n,), the largest average of each calibration episode.
        false_alarms: see above.
        window: decisions that are averaged.
        weights: of the policy whose decisions these are (:func:`fingerprints`); empty if unknown.
        num_execute_steps: steps from one of these decisions to the next; None if unknown.

    Raises:
        UserError: no score, numbers that make no sense, or too few calibration episodes for the rate.
    """

    def __init__(
        self,
        scores: Sequence[Score],
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
        calibration: NDArray[np.float64],
        *,
        false_alarms: float = 0.05,
        window: int = 5,
        weights: Collection[str] = (),
        num_execute_steps: int | None = None,
    ) -> None:
        self.weights, self.num_execute_steps = frozenset(weights), num_execute_steps
        check_settings(scores, false_alarms, window)
        self.scores = list(scores)
        self.center, self.scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
        self.calibration = np.sort(np.asarray(calibration, np.float64))
        self.false_alarms, self.window = float(false_alarms), int(window)
        shape = (len(self.center), len(self.scores))
        if not shape[0] or {self.center.shape, self.scale.shape} != {shape}:
            raise UserError(f"{len(self.scores)} scores need as many centers and scales")
        if (
            not all(np.isfinite(a).all() for a in (self.center, self.scale, self.calibration))
            or not (self.scale > 0).all()
        ):
            raise UserError("a detector's numbers are finite, and its scales positive")
        fewest = episodes_needed(self.false_alarms)
        if len(self.calibration) < fewest:
            raise UserError(
                f"{len(self.calibration)} calibration episodes; false_alarms={self.false_alarms:g} needs {fewest}"
            )

    @property
    def threshold(self) -> float:
        """The average above which a decision is in doubt (:func:`conformal_threshold`)."""
        return conformal_threshold(self.calibration, self.false_alarms)

    def check_policy(self, policy: nn.Module) -> None:
        """Raises UserError: the policy lacks weights of the one that the detector was calibrated for."""
        if not self.weights <= fingerprints(policy):
            raise UserError(
                "the detector was calibrated for a policy of other weights; calibrate one for this policy"
            )

    def check_steps(self, num_execute_steps: int) -> None:
        """Raises UserError: decisions come at another pace than those of calibration."""
        if self.num_execute_steps not in (None, num_execute_steps):
            raise UserError(
                f"num_execute_steps={num_execute_steps}; the detector was calibrated for {self.num_execute_steps}"
            )

    def measure(self, decision: Decision) -> Float[Tensor, "B S"]:
        """Compute every score of each decision."""
        return torch.stack([score(decision) for score in self.scores], 1)

    def value(
        self, measured: NDArray[np.float64], number: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The mean standardized score (B,), of scores (B, S) and the numbers (B,) of their decisions."""
        return standardized(measured, number, self.center, self.scale)

    def confidence(self, average: float) -> float:
        """The conformal p-value of an average of values, above 0 and at most 1."""
        return conformal_p_value(self.calibration, average)

    def is_doubtful(self, confidence: float) -> bool:
        """Whether a confidence is that of a decision in doubt."""
        return confidence <= self.false_alarms

    def save(self, path: str | Path) -> None:
        """Write plain arrays and a description to a ``.npz`` file, whole or not at all.

        Raises:
            UserError: it cannot be written, or a score cannot be described.
        """
        about = {
            "format_version": FORMAT_VERSION,
            "scores": [describe(score) for score in self.scores],
            "false_alarms": self.false_alarms,
            "window": self.window,
            "weights": sorted(self.weights),
            "num_execute_steps": self.num_execute_steps,
        }
        arrays = {
            f"scores.{i}.{name}": getattr(score, name).cpu().numpy()
            for i, score in enumerate(self.scores)
            for name in score.fitted
        }
        buffer = io.BytesIO()
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        numbers = {"center": self.center, "scale": self.scale, "calibration": self.calibration}
        np.savez_compressed(buffer, about=text, **numbers, **arrays)  # type: ignore[arg-type]
        write_atomically(Path(path).expanduser(), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path, *, trust: Collection[str] = ()) -> Detector:
        """Read a detector; nothing in the file is executed.

        Args:
            path: written by :meth:`save`.
            trust: packages whose scores the file may name, beside this project's.

        Raises:
            UserError: there is no such file, it is damaged, or it names other classes.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise UserError(f"no detector at {path}")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about: dict[str, Any] = json.loads(arrays["about"].tobytes())
            if about["format_version"] != FORMAT_VERSION:
                raise UserError(f"{path} has detector format {about['format_version']}")
            scores = [
                _restored(description, f"scores.{i}.", arrays, trust)
                for i, description in enumerate(about["scores"])
            ]
            return cls(
                scores,
                *(arrays[name] for name in ("center", "scale", "calibration")),
                false_alarms=about["false_alarms"],
                window=about["window"],
                weights=about.get("weights", ()),
                num_execute_steps=about.get("num_execute_steps"),
            )
        except DAMAGE as error:
            raise UserError(f"{path} is not a detector, or is damaged") from error


def fingerprints(policy: nn.Module) -> frozenset[str]:
    """Short digests of a policy's learned arrays; a composition has those of its parts."""
    arrays = (parameter.detach().cpu().numpy() for parameter in policy.parameters())
    return frozenset(hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in arrays)


def _restored(
    description: object, prefix: str, arrays: dict[str, NDArray[Any]], trust: Collection[str]
) -> Score:
    score = construct(description, "a score", trusted=trusted_packages(trust))
    if not isinstance(score, Score):
        raise TypeError(f"{type(score).__name__} is no score")
    for name in score.fitted:
        tensor = torch.from_numpy(arrays[prefix + name])
        if not tensor.isfinite().all():
            raise ValueError(f"{name} is not finite")
        setattr(score, name, tensor)
    return score


def check_settings(scores: Sequence[Score], false_alarms: float, window: int) -> None:
    """Refuse settings of a detector that make no sense.

    Raises:
        UserError: naming the one.
    """
    if not scores:
        raise UserError("a detector needs at least one score")
    if not 0 < false_alarms < 1 or window < 1:
        raise UserError(
            f"false_alarms={false_alarms}, window={window}; allowed: a share between 0 and 1, and at least 1"
        )


def episodes_needed(false_alarms: float) -> int:
    """The fewest calibration episodes with which a threshold is finite."""
    return math.ceil(1 / false_alarms - 1e-9) - 1


def conformal_threshold(calibration: NDArray[np.float64], false_alarms: float) -> float:
    """The ``ceil((n + 1)(1 - false_alarms))``-th smallest of n calibration scores; infinite where there are too few."""
    n = len(calibration)
    rank = n + 1 - math.floor((n + 1) * false_alarms + 1e-9)
    return float(np.sort(calibration)[rank - 1]) if rank <= n else math.inf


def conformal_p_value(calibration: NDArray[np.float64], value: float) -> float:
    """The share of n + 1 scores, those of calibration and this one, that are at least this one."""
    return (1 + int((calibration >= value).sum())) / (len(calibration) + 1)


def standardized(
    measured: NDArray[np.float64],
    number: NDArray[np.int64],
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See :meth:`Detector.value`."""
    row = np.minimum(number, len(center) - 1)
    mean: NDArray[np.float64] = ((measured - center[row]) / scale[row]).mean(1)
    return mean


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of each entry of ``values`` (T,) and up to ``window - 1`` entries before it."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    mean: NDArray[np.float64] = (total[end] - total[start]) / (end - start)
    return mean
