"""Pictures out of compressed files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import InvalidEpisode
from ibc.errors import UserError


def decode_image(content: bytes | None) -> NDArray[np.uint8]:
    """A PNG or JPEG file's content as (H, W, 3), red first.

    Raises:
        InvalidEpisode: it is neither.
    """
    try:
        image = cv2.imdecode(np.frombuffer(content or b"\0", dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an absurd size
        image = None
    if image is None:
        raise InvalidEpisode("an image cannot be decoded")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def video_frames(path: Path, *, first: int, count: int) -> NDArray[np.uint8]:
    """``count`` frames (count, H, W, 3) of a video, from number ``first`` on.

    Raises:
        UserError: there is no such file.
        InvalidEpisode: it ends before, or cannot be decoded.
    """
    if not path.is_file():
        raise UserError(f"there is no {path}")
    try:
        reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
        meta = next(reader)
        width, height = meta["size"]
        frames = [
            np.frombuffer(frame, dtype=np.uint8).reshape(height, width, 3)
            for frame in islice(reader, first, first + count)
        ]
        reader.close()
    except (OSError, RuntimeError, StopIteration) as error:
        raise InvalidEpisode(f"{path.name} cannot be decoded") from error
    if len(frames) != count:
        raise InvalidEpisode(
            f"{path.name} has fewer frames than the {first + count} it should have"
        )
    return np.stack(frames)
