"""Observations of a loop: held against what the policy was trained on, and stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.errors import UserError
from ibc.spec import NumpyObs, ObsField


def checked_obs(obs: Mapping[str, Any], fields: Mapping[str, ObsField]) -> NumpyObs:
    """An observation as the policy takes it, with the other numbers in it.

    Args:
        obs: ``{name: (*shape)}``.
        fields: of the policy; empty for an expert, which gets everything.

    Raises:
        UserError: it is not what the policy was trained on.
    """
    if not isinstance(obs, Mapping):
        raise UserError(f"an observation is {{name: array}}, not a {type(obs).__name__}")
    checked: NumpyObs = {}
    for name, expected in fields.items():
        if name not in obs:
            raise UserError(f"the policy needs observation '{name}'; it was given {', '.join(obs)}")
        try:
            array = np.asarray(obs[name])
            with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
                checked[name] = array.astype(expected.dtype)
        except (ValueError, TypeError) as error:  # rows of different lengths, texts
            raise UserError(f"observation '{name}' is no array of numbers: {error}") from error
        if array.shape != expected.shape:
            raise UserError(
                f"observation '{name}' has shape {array.shape}; the policy was trained on {expected.shape}"
            )
        if expected.dtype == "uint8" and array.dtype != np.uint8:
            raise UserError(f"observation '{name}' is {array.dtype}; images are uint8 (H, W, C)")
        if not np.isfinite(checked[name]).all():
            raise UserError(f"observation '{name}' is not finite")
    others = {name: value for name, value in obs.items() if name not in fields}
    if not fields:  # of an expert, which may use texts, too
        return {name: np.asarray(value) for name, value in others.items()}
    numeric = {n: kept for n, value in others.items() if (kept := _numeric(value)) is not None}
    return {**numeric, **checked}


def _numeric(value: Any) -> NDArray[Any] | None:
    """A copy of numbers; None of what torch knows no tensor for."""
    try:
        array = np.array(value)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in "biuf" else None


def stacked(observations: Sequence[NumpyObs], fields: Mapping[str, ObsField]) -> NumpyObs:
    """Stack observations; what the policy does not use (``fields``) is left out unless all have it, in one shape."""
    shapes = [{name: np.shape(array) for name, array in obs.items()} for obs in observations]
    names = [
        name
        for name, shape in shapes[0].items()
        if name in fields or all(other.get(name) == shape for other in shapes)
    ]
    return {name: np.stack([obs[name] for obs in observations]) for name in names}
