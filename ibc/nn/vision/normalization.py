"""From pixels to what a network for pictures takes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from ibc.errors import UserError
from ibc.nn.normalizer import BackgroundNormalizer

NORMALIZATIONS = ("none", "standard", "imagenet", "background")
#: Mean and standard deviation of red, green and blue in ImageNet, where 1 is white.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ChannelNormalizer(nn.Module):
    """``(picture - mean) / scale`` with two numbers for each channel.

    Args:
        channels: of one frame.
        kind: ``none``: pixels from 0 to 1. ``standard``: mean 0 and variance 1 over the data. ``imagenet``: as networks
            that are trained on ImageNet expect them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        mean, scale = torch.zeros(channels), torch.full((channels,), 255.0)
        if kind == "imagenet":
            mean, scale = (255 * torch.tensor(values) for values in IMAGENET)
        self.register_buffer("mean", mean.clone().view(-1, 1, 1))
        self.register_buffer("scale", scale.clone().view(-1, 1, 1))

    @torch.no_grad()
    def fit(self, pictures: UInt8[Tensor, "M H W C"]) -> None:
        """Set the statistics from some pictures of the data, where it is they that count."""
        if self.kind != "standard":
            return
        rows = [p.double().flatten(0, 1) for p in pictures]  # one by one: memory
        mean = torch.stack([row.mean(0) for row in rows]).mean(0)
        variance = torch.stack([(row - mean).square().mean(0) for row in rows]).mean(0)
        self.mean.copy_(mean.view(-1, 1, 1))
        self.scale.copy_(variance.sqrt().clamp(min=1.0).view(-1, 1, 1))

    def forward(self, image: Shaped[Tensor, "B ToC H W"]) -> Float[Tensor, "B ToC H W"]:
        """Stacked frames, each by itself."""
        frames = image.view(len(image), -1, len(self.mean), *image.shape[2:])
        standardized: Tensor = (frames.float() - self.mean) / self.scale
        return standardized.flatten(1, 2)


def image_normalizer(kind: str, shape: tuple[int, ...]) -> ChannelNormalizer | BackgroundNormalizer:
    """The normalizer for pictures of ``shape`` (H, W, C).

    Raises:
        UserError: there is no such kind, or ImageNet's colors are to be those of other channels.
    """
    if kind not in NORMALIZATIONS:
        raise UserError(f"image_normalization={kind}; allowed: {', '.join(NORMALIZATIONS)}")
    if kind == "background":
        return BackgroundNormalizer(shape)
    channels = shape[-1]
    if kind == "imagenet" and channels != len(IMAGENET[0]):
        raise UserError(f"image_normalization=imagenet is for 3 channels, not {channels}: standard")
    return ChannelNormalizer(channels, kind)
