"""Standardisation of observations, kept with the weights of the network that needs it."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

#: A dimension whose standard deviation is below this part of its magnitude carries no information in the data. It is
#: centred but not stretched: otherwise a tiny deviation in closed loop becomes a huge input.
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

    def inverse(self, obs: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Network units to environment units."""
        return obs * self.scale + self.mean


class PictureNormalizer(nn.Module):
    """``(picture - mean picture) / scale``: what a fixed camera always sees vanishes, what moves stands out.

    The mean is of each pixel and channel by itself; the scale is one number, the root mean square of what is left, so
    that noise in still pixels is not blown up. Without it a network first has to learn the background.

    Args:
        shape: of one picture, (H, W, C).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        height, width, channels = shape
        self.register_buffer("mean", torch.full((channels, height, width), 127.5))
        self.register_buffer("scale", torch.full((), 127.5))

    @torch.no_grad()
    def fit(self, pictures: UInt8[Tensor, "M H W C"]) -> None:
        """Set the statistics from some pictures of the data."""
        total = torch.zeros(pictures.shape[1:], dtype=torch.float64, device=pictures.device)
        squares = total.clone()
        for picture in pictures:  # one by one: all as floats would be eight times as large
            total += picture
            squares += picture.double().square()
        mean = total / len(pictures)
        variance = (squares / len(pictures) - mean.square()).clamp(min=0).mean()
        self.mean.copy_(mean.permute(2, 0, 1))
        self.scale.copy_(variance.sqrt().clamp(min=1.0))

    def forward(self, image: UInt8[Tensor, "B ToC H W"]) -> Float[Tensor, "B ToC H W"]:
        """Stacked frames, each less the mean picture."""
        frames = image.view(len(image), -1, *self.mean.shape)
        standardised: Tensor = frames.float().sub_(self.mean).div_(self.scale)  # in place: memory
        return standardised.flatten(1, 2)
