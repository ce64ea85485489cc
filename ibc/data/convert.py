"""Data sets of any format that is read, written again as one in Minari's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ibc.data.content import content_digest
from ibc.data.episode import Episode, Frames
from ibc.data.formats import read_episodes
from ibc.data.kept_frames import Cameras
from ibc.data.pictures import Fit
from ibc.data.request import Request
from ibc.data.store import DemonstrationWriter
from ibc.data.streamed_frames import fitted
from ibc.errors import UserError
from ibc.progress import track


def convert_demonstrations(
    paths: Sequence[Path],
    output: Path,
    request: Request | None = None,
    cameras: Cameras | None = None,
) -> int:
    """Write what is wanted of data sets, one after another, to ``output``; returns the number of episodes.

    One episode, and of its pictures one, is in memory at a time. What is interrupted goes on where it stopped, if the
    data and what is wanted of it are the same.

    Args:
        paths: of the data sets, in any formats.
        output: folder, which does not exist yet.
        request: what is wanted; everything if None.
        cameras: what is made of pictures; they stay as they are if None.

    Raises:
        UserError: the data cannot be read, differs in shape between episodes, or ``output`` cannot be written.
    """
    request, cameras = request or Request(), cameras or Cameras()
    for path in paths:
        if path.resolve() in output.resolve().parents:
            raise UserError(f"{output} is inside of {path}; choose a folder beside it")
    first, *others = (next(_episodes(path, request, cameras)) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        if _shapes(other) != _shapes(first):
            raise UserError(
                f"{path} has {_shapes(other)}, {paths[0]} has {_shapes(first)}; convert each by itself first, "
                "with obs_names, rename or image_size"
            )
    boxes: dict[str, gym.Space[Any]] = {
        name: gym.spaces.Box(0, 255, array.shape[1:], np.uint8)
        if isinstance(array, Frames)
        else gym.spaces.Box(-np.inf, np.inf, array.shape[1:], np.float32)
        for name, array in first.obs.items()
    }
    writer = DemonstrationWriter(
        output,
        env_id="",
        observation_space=gym.spaces.Dict(boxes),
        action_space=gym.spaces.Box(-np.inf, np.inf, first.action.shape[1:], np.float32),
        about={
            "source": [path.name for path in paths],
            "sha256": [content_digest(path) for path in paths],
            "rename": dict(request.rename),
            "entries": {name: str(entries) for name, entries in request.entries.items()},
            "episode_length": request.episode_length,
            "crop": _plain(cameras.crop),
            "image_size": _plain(cameras.image_size),
        },
        replace=True,
    )
    try:
        episodes = (episode for path in paths for episode in _episodes(path, request, cameras))
        for number, episode in enumerate(track(episodes, "converting", None, "episode")):
            if number >= len(writer):
                writer.append(episode)
        writer.close()
    finally:
        writer.release()
    return len(writer)


def _shapes(episode: Episode) -> dict[str, tuple[int, ...]]:
    arrays = {**episode.obs, "action": episode.action}
    return {name: array.shape[1:] for name, array in sorted(arrays.items())}


def _episodes(path: Path, request: Request, cameras: Cameras) -> Iterator[Episode]:
    for episode in read_episodes(path, request):
        frames = {name: a for name, a in episode.obs.items() if isinstance(a, Frames)}
        changed = {
            name: fitted(path, frames[name], name, fit)
            for name, fit in cameras.fits(list(frames)).items()
            if fit != Fit()
        }
        yield replace(episode, obs={**episode.obs, **changed})


def _plain(given: object) -> object:
    return dict(given) if isinstance(given, Mapping) else given
