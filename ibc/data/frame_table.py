"""Pictures of many episodes by one running number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from ibc.data.episode import Frames


class FrameTable:
    """Frames of several episodes by one running number. Several threads may read at once.

    Args:
        episodes: frames (T, H, W, C) of each.
    """

    def __init__(self, episodes: Sequence[NDArray[Any] | Frames]) -> None:
        self._episodes = list(episodes)
        self._starts = np.cumsum([0, *(len(frames) for frames in self._episodes)])

    def __getitem__(self, rows: Int[Tensor, "*B"]) -> UInt8[Tensor, "*B H W C"]:
        """The frames of those numbers, on the same device."""
        flat = rows.cpu().numpy().ravel()
        owner = np.searchsorted(self._starts, flat, side="right") - 1
        steps = flat - self._starts[owner]
        out = np.empty((len(flat), *self._episodes[0].shape[1:]), np.uint8)
        for place, e, t in zip(out, owner.tolist(), steps.tolist(), strict=True):
            frames = self._episodes[e]
            if isinstance(frames, Frames):
                frames.read_into(t, place)
            else:
                place[...] = frames[t]
        return torch.from_numpy(out).view(*rows.shape, *out.shape[1:]).to(rows.device)
