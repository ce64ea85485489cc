"""Check what an environment returns where it comes in: simulators break the interface of Gymnasium in many ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.errors import UserError
from ibc.spec import NumpyObs, ObsField


def unpack(what: str, result: Any, count: int, env_id: str) -> Any:
    """The values that ``reset`` or ``step`` has returned.

    Raises:
        UserError: they are not as many as Gymnasium's interface has, such as those of the older gym.
    """
    if not isinstance(result, tuple) or len(result) != count:
        found = f"{len(result)} values" if isinstance(result, tuple) else "one value"
        raise UserError(
            f"{what} of {env_id} returns {found}, Gymnasium's interface has {count}; wrap an environment of the "
            "older gym by shimmy"
        )
    return result


def as_number(what: str, value: Any, env_id: str) -> float:
    """A number that may come as an array of one.

    Raises:
        UserError: it is not one number.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size != 1 or value is None:
        raise UserError(f"{what} of {env_id} is {value!r}, not one number")
    return float(array.reshape(()))


def as_success(value: Any, key: str, env_id: str) -> bool:
    """Whether a task is solved, from what ``info`` says; of several values all must be true.

    Raises:
        UserError: the values are no booleans, nor 0 and 1.
    """
    array = np.asarray(value)
    if array.dtype != np.bool_ and not (
        np.issubdtype(array.dtype, np.number) and np.isin(array, (0, 1)).all()
    ):
        raise UserError(f"info['{key}'] of {env_id} is {value!r}; true or false is needed")
    return bool(array.all())


def named_observation(
    flat: Mapping[str, Any], fields: Mapping[str, ObsField], env_id: str
) -> NumpyObs:
    """Copies of an observation's parts: an environment may hand out a buffer that it goes on writing to.

    Raises:
        UserError: a part is missing, or has another shape than the environment's space says.
    """
    obs: NumpyObs = {}
    for name, field in fields.items():
        if name not in flat:
            raise UserError(f"{env_id} gives no observation '{name}', which its space has")
        array = np.asarray(flat[name])
        if array.shape != field.shape:
            raise UserError(
                f"observation '{name}' of {env_id} has shape {array.shape}; its space says {field.shape}"
            )
        obs[name] = np.array(array, dtype=field.dtype, copy=True)
    return obs


def is_finite(obs: NumpyObs, reward: float) -> bool:
    """Whether an observation and a reward hold neither NaN nor infinity."""
    return bool(np.isfinite(reward)) and all(
        bool(np.isfinite(array).all()) for array in obs.values() if array.dtype != np.uint8
    )


def as_frame(frame: Any, env_id: str) -> NDArray[np.uint8]:
    """A rendered picture as (H, W, 3) uint8: of gray ones the value three times, of RGBA without the last channel.

    Raises:
        UserError: it is no picture.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3) or frame.size == 0:
        raise UserError(f"{env_id} offers no rgb_array rendering")
    if np.issubdtype(frame.dtype, np.floating):
        if not np.isfinite(frame).all() or frame.min() < 0 or frame.max() > 255:
            raise UserError(f"{env_id} renders numbers outside of 0 to 1 and of 0 to 255")
        frame = frame * 255 if frame.max() <= 1 else frame
    frame = frame[..., None] if frame.ndim == 2 else frame
    if frame.shape[2] not in (1, 3, 4):
        raise UserError(f"{env_id} renders pictures of shape {frame.shape}; (H, W, 3) is needed")
    channels = frame[..., :1].repeat(3, 2) if frame.shape[2] == 1 else frame[..., :3]
    return np.ascontiguousarray(channels).astype(np.uint8)
