"""From a picture to a feature vector."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ibc.nn.module import Module


def stack_frames(frames: Shaped[Tensor, "B To H W C"]) -> Shaped[Tensor, "B ToC H W"]:
    """Frames side by side in the channel dimension: channel ``t * C + c`` is channel c of frame t.

    The transposition matters: a bare reshape from this layout would interleave the pixels of the frames.
    """
    return frames.permute(0, 1, 4, 2, 3).flatten(1, 2)


class ImageEncoder(Module, ABC):
    """Base of the image encoders: maps standardized images (B, C, H, W) to (B, ``feature_size``)."""

    #: Whether it sees each frame of a window by itself, and not all of them side by side.
    by_frame: ClassVar[bool] = False
    feature_size: int

    @abstractmethod
    def build(self, channels: int) -> None:
        """Make the networks, and set ``feature_size``; ``channels`` is C, of all that it sees at once."""

    def fit(self) -> None:
        """Get ready for training: weights that are trained elsewhere are fetched here."""


@dataclass(eq=False, repr=False, kw_only=True)
class ConvMaxPool(ImageEncoder):
    """Four times convolution, rectifier, pooling, then the mean over the remaining pixels.

    The pixel network of the official code (google-research/ibc, ``networks/layers/conv_maxpool.py``).
    """

    widths: Sequence[int] = (32, 64, 128, 256)

    def build(self, channels: int) -> None:
        sizes = (channels, *self.widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(sizes)
        )
        self.feature_size = self.widths[-1]

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pooling rounds up, so that a picture of any size survives it."""
        # Channels last, and rectifying what pooling left, is the same in 0.6 times the time.
        image = image.contiguous(memory_format=torch.channels_last)
        for conv in self.convs:
            image = F.relu(F.max_pool2d(conv(image), 2, ceil_mode=True))
        return image.mean((-2, -1))


class SpatialSoftmax(nn.Module):
    """Expected image coordinates of each channel under a softmax over its map, with a trained temperature.

    (Spatial soft-argmax, Finn et al. 2016; Levine et al. 2016.) Coordinates are in [-1, 1]: x grows with the column, y
    with the row; each axis spans its own side of the map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2"]:
        """Maps to ``C2 = 2 * C`` numbers: x of every channel, then y of every channel."""
        return self.coordinates(self.weights(maps))

    def weights(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The softmax of each map: how much each place counts."""
        weight = torch.softmax(maps.flatten(2) / self.log_temperature.exp(), dim=-1)
        return weight.view_as(maps)

    @staticmethod
    def coordinates(weight: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2"]:
        """Mean coordinates under weights that sum to one: x of every channel, then y of every channel."""
        height, width = weight.shape[-2:]
        x = torch.linspace(-1, 1, width, device=weight.device, dtype=weight.dtype)
        y = torch.linspace(-1, 1, height, device=weight.device, dtype=weight.dtype)
        return torch.cat([weight.sum(-2) @ x, weight.sum(-1) @ y], dim=-1)


@dataclass(eq=False, repr=False, kw_only=True)
class ConvSpatialSoftmax(ImageEncoder):
    """A wide stride, residual convolutions, then where each channel peaks, and what is there.

    Two coordinate channels are appended to the picture (Liu et al. 2018), so that filters can tell places apart. A
    soft-argmax finds a peak between cells, so that a map a quarter as high and wide as the picture is exact enough.

    Coordinates cannot say how a thing is turned or what it is. So each peak also reads ``num_values`` maps by the
    weights that located it: attention with one query a channel.

    Args:
        width: channels of the maps. The first convolution has filters of 8 x 8, every four pixels, as in Mnih et al.
            2015: in the same time two narrower strides of two learn less.
        num_blocks: residual blocks of two convolutions behind it.
        num_values: numbers read at each peak.
    """

    width: int = 32
    num_blocks: int = 1
    num_values: int = 8

    def build(self, channels: int) -> None:
        width = self.width
        self.strided = nn.Conv2d(channels + 2, width, 8, stride=4, padding=4)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(2 * self.num_blocks)
        )
        self.what = nn.Conv2d(width, self.num_values, 1)
        self.where = SpatialSoftmax()
        self.feature_size = (2 + self.num_values) * width

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pictures of any size and side ratio."""
        channels, height, width = image.shape[1:]
        y = torch.linspace(-1, 1, height, device=image.device).view(-1, 1).expand(height, width)
        x = torch.linspace(-1, 1, width, device=image.device).expand(height, width)
        # The same as one convolution of both, without a copy of every picture to put coordinates beside it.
        seen, placed = self.strided.weight[:, :channels], self.strided.weight[:, channels:]
        place = F.conv2d(torch.stack([x, y])[None], placed, self.strided.bias, 4, 4)
        h = F.conv2d(image, seen, None, 4, 4) + place
        for first, second in zip(self.convs[::2], self.convs[1::2], strict=True):
            h = h + second(F.relu(first(F.relu(h))))
        weight = self.where.weights(h.float())  # a weighted mean of coordinates needs the digits
        values = self.what(F.relu(h)).float()
        read = weight.flatten(2) @ values.flatten(2).mT
        return torch.cat([self.where.coordinates(weight), read.flatten(1)], 1)


@dataclass(eq=False, repr=False, kw_only=True)
class EquivariantSpatialSoftmax(ImageEncoder):
    """Where each channel of some plain convolutions peaks; whatever is moved in the picture moves its peaks as much.

    For few pictures of things that look the same everywhere. No strides, no coordinate channels, and an empty margin
    instead of padded maps: nothing tells places apart but the place itself, so what is learned of a thing in one place
    holds in all. Maps are as large as the picture, which :class:`ConvSpatialSoftmax` saves.

    Args:
        width: channels of the maps.
        num_layers: convolutions with filters of 5 x 5.
    """

    width: int = 16
    num_layers: int = 3

    def build(self, channels: int) -> None:
        sizes = (channels, *[self.width] * self.num_layers)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 5) for i, o in itertools.pairwise(sizes))
        self.where = SpatialSoftmax()
        self.feature_size = 2 * self.width

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pictures of any size; their background, which is zero, goes on around them."""
        h = F.pad(image, (4 * len(self.convs),) * 4)  # twice what the filters take away
        for i, conv in enumerate(self.convs):
            h = conv(F.relu(h) if i > 0 else h)
        features: Tensor = self.where(h.float())
        return features
