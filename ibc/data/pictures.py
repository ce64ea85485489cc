"""Pictures: which arrays are such, and how they are cut out and made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import InvalidEpisode
from ibc.errors import UserError

#: Numbers of color channels of a picture: gray, color, color and opacity.
CHANNELS = (1, 3, 4)
#: A picture has at least as many rows and columns; smaller arrays are tables of numbers.
SMALLEST = 8
#: A table of other numbers than bytes with at least as many rows and columns is a picture of one channel.
SMALLEST_TABLE = 32


def is_picture(name: str, shape: Sequence[int], dtype: np.dtype[np.generic]) -> bool:
    """Whether observations of a shape are pictures (H, W, C).

    Numbers of other types may be such too, where each turns out to be a whole number from 0 to 255.

    Raises:
        InvalidEpisode: they are pictures of another layout.
    """
    allowed = "pictures are uint8 (H, W, C); leave it out by data.obs_names, or store it so"
    is_byte = dtype == np.uint8
    if len(shape) == 2 and min(shape) >= (SMALLEST if is_byte else SMALLEST_TABLE):
        raise InvalidEpisode(
            f"'{name}' has shape {tuple(shape)}, a picture without channels; {allowed}"
        )
    if len(shape) != 3:
        return False
    is_last_small, is_first_small = shape[2] in CHANNELS, shape[0] in CHANNELS
    if is_first_small and not is_last_small and min(shape[1:]) >= SMALLEST:
        raise InvalidEpisode(
            f"'{name}' has shape {tuple(shape)}, with the channels first; {allowed}"
        )
    return is_byte or (dtype.kind in "fiu" and is_last_small and min(shape[:2]) >= SMALLEST)


def as_picture(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Pictures as bytes.

    Raises:
        InvalidEpisode: a number is not a whole one from 0 to 255.
    """
    if array.dtype == np.uint8:
        return array.view(np.uint8)
    with np.errstate(invalid="ignore"):
        picture: NDArray[np.uint8] = array.astype(np.uint8)
    if not np.array_equal(picture, array):
        raise InvalidEpisode(
            f"pictures are {array.dtype} with other numbers than 0, 1, ... 255 (up to {array.max():.4g}); "
            "they are stored as uint8, 0 to 255"
        )
    return picture


@dataclass(frozen=True)
class Fit:
    """What happens to each picture of a camera: first it is cut out, then made smaller.

    Attributes:
        crop: (top, left, height, width) in pixels; None for all of it.
        size: (H, W) of the result; None leaves it as it is.
    """

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One picture (H, W, C); areas are averaged, so that nothing thin is lost."""
        if self.crop is not None:
            top, left, height, width = self.crop
            picture = picture[top : top + height, left : left + width]
        if self.size is not None and self.size != picture.shape[:2]:
            height, width = self.size
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            picture = small.reshape(height, width, picture.shape[2]).astype(np.uint8)
        return np.ascontiguousarray(picture)

    def shape(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        """The result's (H, W, C).

        Raises:
            UserError: the part to cut out is not all inside of the picture.
        """
        rows, columns, channels = shape
        if self.crop is not None:
            top, left, height, width = self.crop
            if top + height > rows or left + width > columns:
                raise UserError(
                    f"data.crop={list(self.crop)} (top, left, height, width) is not inside of '{name}', "
                    f"which has {rows} rows and {columns} columns"
                )
            rows, columns = height, width
        return (*(self.size or (rows, columns)), channels)


def fit_picture(
    picture: NDArray[np.uint8],
    *,
    crop: Sequence[int] | None = None,
    size: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """A picture (H, W, C) as training saw it with ``data.crop`` and ``data.image_size``, for a robot's own loop.

    Args:
        picture: as the camera gives it, uint8.
        crop: (top, left, height, width) in pixels.
        size: (H, W) of the result.

    Raises:
        UserError: these are no such numbers, it is no picture, or the crop is not inside of it.
    """
    fit = make_fit(crop, size)
    if picture.ndim != 3:
        raise UserError(
            f"the picture has shape {picture.shape}; it is (H, W, C), gray ones (H, W, 1)"
        )
    fit.shape("picture", picture.shape)
    return fit(picture)


def make_fit(crop: Sequence[int] | None, size: Sequence[int] | None) -> Fit:
    """A checked :class:`Fit`.

    Raises:
        UserError: it is not four numbers, or not two, or a length is not positive.
    """
    if crop is not None and not (_whole(crop, 4) and min(crop) >= 0 and min(crop[2:]) > 0):
        raise UserError(f"data.crop={crop}; it is [top, left, height, width] in pixels")
    if size is not None and not (_whole(size, 2) and min(size) > 0):
        raise UserError(f"data.image_size={size}; it is [height, width] in pixels")
    return Fit(
        None if crop is None else (crop[0], crop[1], crop[2], crop[3]),
        None if size is None else (size[0], size[1]),
    )


def _whole(values: object, count: int) -> bool:
    is_list = isinstance(values, Sequence) and len(values) == count
    return is_list and all(type(v) is int for v in values)  # type: ignore[attr-defined]
