"""Spaces of observations, by joined names as here and grouped as Minari's files have them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


def flatten_space(space: gym.Space[Any], name: str = "") -> dict[str, Any]:
    """The spaces within, by the names ``outer/inner``; a bare one is called ``state`` or ``image``."""
    if isinstance(space, gym.spaces.Dict):
        out: dict[str, Any] = {}
        for key, child in space.spaces.items():
            out |= flatten_space(child, f"{name}/{key}" if name else key)
        return out
    is_images = space.dtype == np.uint8 and len(space.shape or ()) >= 2
    return {name or ("image" if is_images else "state"): space}


def nest_space(space: gym.spaces.Dict) -> gym.spaces.Dict:
    """The spaces as the file groups them, where names are joined by ``/``."""
    out: dict[str, gym.Space[Any]] = {}
    for name, child in space.spaces.items():
        outer, _, inner = name.partition("/")
        if inner:
            known = out.get(outer)
            group = dict(known.spaces) if isinstance(known, gym.spaces.Dict) else {}
            out[outer] = gym.spaces.Dict({**group, inner: child})
        else:
            out[name] = child
    return gym.spaces.Dict(
        {n: nest_space(c) if isinstance(c, gym.spaces.Dict) else c for n, c in out.items()}
    )
