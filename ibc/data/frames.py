"""Pictures out of compressed files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import InvalidEpisode


def decode_image(content: bytes | None) -> NDArray[np.uint8]:
    """A PNG or JPEG file's content as (H, W, 3), red first.

    Raises:
        InvalidEpisode: it is neither, or has more than eight bits a number.
    """
    how = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(content or b"\0", dtype=np.uint8), how)
    except cv2.error:  # an absurd size
        image = None
    if image is None:
        raise InvalidEpisode("an image cannot be decoded")
    if image.dtype != np.uint8:
        raise InvalidEpisode(
            f"an image is {image.dtype}, depth perhaps; pictures are uint8, leave it out by data.obs_names"
        )
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def video_pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """All pictures (H, W, 3) of a video, in order.

    Raises:
        InvalidEpisode: it cannot be decoded.
    """
    try:
        with contextlib.closing(imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")) as reader:
            width, height = next(reader)["size"]
            for content in reader:
                yield np.frombuffer(content, dtype=np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError, StopIteration) as error:
        raise InvalidEpisode(f"{path.name} cannot be decoded") from error
