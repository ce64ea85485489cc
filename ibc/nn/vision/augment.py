"""Changes of pictures that do not change what should be done: shown in training, so that a policy expects them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

#: How much each of red, green and blue adds to how bright a color looks (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def random_shift(image: Float[Tensor, "B C H W"], most: int) -> Float[Tensor, "B C H W"]:
    """Each picture moved by up to ``most`` pixels along both axes, its border repeated (Kostrikov et al. 2021)."""
    height, width = image.shape[2:]
    return random_crop(F.pad(image, (most,) * 4, mode="replicate"), (height, width))


def random_crop(image: Float[Tensor, "B C H W"], size: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """A part of ``size`` (h, w) of each picture, each at a place of its own."""
    batch, _, height, width = image.shape
    top, left = (
        torch.randint(0, side - part + 1, (batch,), device=image.device)
        for side, part in ((height, size[0]), (width, size[1]))
    )
    # A view of all positions, of which each picture's is copied as one block: much less than an index for each pixel.
    windows = image.unfold(2, size[0], 1).unfold(3, size[1], 1)
    cropped: Tensor = windows[torch.arange(batch, device=image.device), :, top, left]
    return cropped


def center_crop(image: Float[Tensor, "B C H W"], size: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """The part of ``size`` (h, w) in the middle of each picture."""
    top, left = ((side - part) // 2 for side, part in zip(image.shape[2:], size, strict=True))
    return image[:, :, top : top + size[0], left : left + size[1]]


def color_jitter(
    image: Shaped[Tensor, "B ToC H W"], channels: int, most: float
) -> Float[Tensor, "B ToC H W"]:
    """Brightness, contrast and, of colors, saturation times numbers of each picture's own, all frames of it alike.

    Args:
        image: frames side by side, of values from 0 to 255, which the result keeps to.
        channels: of one frame.
        most: factors are drawn evenly from ``1 - most`` to ``1 + most``.
    """
    frames = image.float().view(len(image), -1, channels, *image.shape[2:])
    factors = 1 + most * (2 * torch.rand(3, len(image), 1, 1, 1, 1, device=image.device) - 1)
    brightness, contrast, saturation = factors
    frames = frames * brightness
    mean = frames.mean((1, 2, 3, 4), keepdim=True)
    frames = mean + (frames - mean) * contrast
    if channels == len(LUMA):
        luma = torch.tensor(LUMA, device=image.device).view(-1, 1, 1)
        gray = (frames * luma).sum(2, keepdim=True)
        frames = gray + (frames - gray) * saturation
    jittered: Tensor = frames.clamp(0, 255).flatten(1, 2)
    return jittered
