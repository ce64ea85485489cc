"""Which part of a data set is learned from, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibc.data.kept_frames import CACHE, ByCamera, Cameras
from ibc.data.layouts import is_made
from ibc.data.request import Request
from ibc.environment import Environment
from ibc.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which part of a data set is learned from, and how.

    Attributes:
        obs_names: observations to use; None for all. Nothing else is read.
        rename: ``{name in the data: wanted name}`` of observations, and of the action (:class:`Request`).
        image_size: (H, W) that pictures are made into, for all cameras or ``{camera: (H, W)}``.
        crop: part that is cut out of them before, (top, left, height, width), likewise.
        cache: folder in which pictures are kept (:func:`ibc.data.kept_frames.keep_frames`).
        num_episodes: as many, from the first on; None for all.
        episode_length: steps after which episodes ended, for D4RL files that do not tell.
        keep_best: fraction of the episodes, those of highest return.
        return_temperature: see :func:`ibc.data.transforms.reweight_by_return`.
        frame_skip: recorded steps that become one (:func:`ibc.data.transforms.temporal_subsample`).
    """

    obs_names: Sequence[str] | None = None
    rename: Mapping[str, str] | None = None
    image_size: ByCamera | None = None
    crop: ByCamera | None = None
    cache: str | Path = CACHE
    num_episodes: int | None = None
    episode_length: int | None = None
    keep_best: float | None = None
    return_temperature: float | None = None
    frame_skip: int = 1

    def __post_init__(self) -> None:
        for name in ("num_episodes", "frame_skip"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"data.{name}={value}; it must be at least 1")

    def request(self, env: Environment | None = None) -> Request:
        """Return the request to readers: all observations of the file where ``env`` derives its own from them."""
        made = env is not None and is_made(self.obs_names, env.obs_fields)
        return Request(
            obs_names=None if made else self.obs_names,
            rename={} if self.rename is None else self.rename,
            episode_length=self.episode_length,
        )

    def cameras(self) -> Cameras:
        """What pictures are made into."""
        return Cameras(crop=self.crop, image_size=self.image_size, cache=Path(self.cache))
