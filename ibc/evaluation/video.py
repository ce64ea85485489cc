"""Films of episodes: frames with a caption, as H.264 that every browser plays."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import cv2
import imageio.v2 as imageio
import numpy as np
from imageio.v3 import imread
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

#: Frames smaller than this are enlarged, so that a film can be watched.
MIN_SIZE = 360


def caption(frame: Frame, text: str) -> Frame:
    """The frame, enlarged if it is small, above a line of text. Sides are even, as the codec wants them."""
    scale = max(1, -(-MIN_SIZE // min(frame.shape[:2])))
    picture = np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)
    height, width = (side - side % 2 for side in picture.shape[:2])
    strip = np.full((28, width, 3), 255, dtype=np.uint8)
    cv2.putText(strip, text, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return np.ascontiguousarray(np.concatenate([picture[:height, :width], strip]))


def encode_mp4(frames: list[Frame], fps: float) -> bytes:
    """The frames as an MP4 file's content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writer = imageio.get_writer(
            path, fps=fps, codec="libx264", quality=7, macro_block_size=2, ffmpeg_log_level="error"
        )
        with writer:
            for frame in frames:
                writer.append_data(frame)
        return path.read_bytes()


def first_frame(path: Path) -> Frame:
    """The first frame of an MP4 file."""
    return np.asarray(imread(path, index=0, plugin="FFMPEG"), dtype=np.uint8)


def encode_png(frame: Frame) -> bytes:
    """One frame as a PNG file's content."""
    buffer = io.BytesIO()
    imageio.imwrite(buffer, frame, format="png")
    return buffer.getvalue()
