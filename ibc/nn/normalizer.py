"""Standardization of observations, kept with the weights of the network that needs it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

#: A dimension whose standard deviation is below this number, or below this part of its mean, carries no information in
#: the data. It is centered but not stretched: otherwise a tiny deviation in closed loop becomes a huge input. What is
#: measured in units that make it this small has to be given in others.
CONSTANT = 1e-6


class Normalizer(nn.Module):
    """``(x - mean) / scale`` for observations of one name, with statistics pooled over time.

    ``sqrt_std`` divides by the square root of the standard deviation, as the official code does for energies on D4RL
    (google-research/ibc, ``use_sqrt_std``).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, *, sqrt_std: bool = False) -> None:
        super().__init__()
        self.sqrt_std = sqrt_std
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def fit(self, obs: Float[Tensor, "M D"]) -> None:
        """Set the statistics from observations in environment units."""
        obs = obs.double()  # a sum over millions of float32 rows loses digits
        mean, std = obs.mean(0), obs.std(0, correction=0)
        constant = std <= CONSTANT * mean.abs().clamp(min=1.0)
        scale = std.sqrt() if self.sqrt_std else std
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(constant, torch.ones_like(scale), scale))

    def forward(self, obs: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Environment units to network units."""
        return (obs - self.mean) / self.scale


class BackgroundNormalizer(nn.Module):
    """``(picture - background) / scale``: remove the static part of a fixed camera's images.

    The background is the median of each pixel and channel by itself; the scale is one number, the root mean square
    of the difference, so that noise in static pixels is not amplified. Without it a network first has to learn the
    background. A mean instead of a median would contain a faint copy of every object position in the data, to which a
    network overfits with few images.

    Args:
        shape: of one picture, (H, W, C).
    """

    background: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        height, width, channels = shape
        self.register_buffer("background", torch.full((channels, height, width), 127.5))
        self.register_buffer("scale", torch.full((), 127.5))

    @torch.no_grad()
    def fit(self, pictures: UInt8[Tensor, "M H W C"]) -> None:
        """Set the statistics from some pictures of the data."""
        background = pictures.median(0).values.double()
        squares = torch.zeros_like(background)
        for picture in pictures:  # one by one: all as floats would be eight times as large
            squares += (picture - background).square()
        self.background.copy_(background.permute(2, 0, 1))
        self.scale.copy_((squares.mean() / len(pictures)).sqrt().clamp(min=1.0))

    def forward(self, image: Shaped[Tensor, "B ToC H W"]) -> Float[Tensor, "B ToC H W"]:
        """Stacked frames, each less the background."""
        frames = image.view(len(image), -1, *self.background.shape)
        standardized: Tensor = (
            frames.to(torch.float32, copy=True).sub_(self.background).div_(self.scale)
        )  # in place: memory
        return standardized.flatten(1, 2)
