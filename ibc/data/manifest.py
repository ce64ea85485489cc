"""What a checkpoint says of its data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames
from ibc.data.kept_frames import KeptFrames


def manifest(path: Path, episodes: Sequence[Episode]) -> dict[str, Any]:
    """What a checkpoint says of its data: where from, how much, and a hash of every number used."""
    digest = hashlib.sha256()
    for episode in episodes:
        for name in sorted(episode.obs):
            _hash(digest, episode.obs[name])
        digest.update(np.ascontiguousarray(episode.action).data)
    return {
        "path": path.name,
        "num_episodes": len(episodes),
        "num_steps": sum(len(episode) for episode in episodes),
        "sha256": digest.hexdigest(),
    }


def _hash(digest: Any, array: NDArray[Any] | Frames) -> None:
    """Add the numbers; those of kept pictures by what they were made from, all others picture by picture."""
    if isinstance(array, KeptFrames):
        digest.update(f"{array.digest} {len(array)}".encode())
    elif isinstance(array, Frames):
        for frame in array:
            digest.update(frame.data)
    else:
        digest.update(np.ascontiguousarray(array).data)
