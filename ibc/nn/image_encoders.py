"""From a picture to a feature vector."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ibc.nn.spatial_softmax import SpatialSoftmax


def stack_frames(frames: Shaped[Tensor, "B To H W C"]) -> Shaped[Tensor, "B ToC H W"]:
    """Frames side by side in the channel dimension: channel ``t * C + c`` is channel c of frame t.

    The transposition matters: a bare reshape from this layout would interleave the pixels of the frames.
    """
    return frames.permute(0, 1, 4, 2, 3).flatten(1, 2)


class ImageEncoder(nn.Module):
    """Base of the image encoders: maps standardised pictures (B, C, H, W) to (B, ``feature_size``)."""

    feature_size: int


class ConvMaxPool(ImageEncoder):
    """Four times convolution, rectifier, pooling, then the mean over what is left of the picture.

    The pixel network of the official code (google-research/ibc, ``networks/layers/conv_maxpool.py``).
    """

    def __init__(self, channels: int, *, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        sizes = (channels, *widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(sizes)
        )
        self.feature_size = widths[-1]

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pooling rounds up, so that a picture of any size survives it."""
        for conv in self.convs:
            image = F.max_pool2d(F.relu(conv(image)), 2, ceil_mode=True)
        return image.mean((-2, -1))


class ConvSpatialSoftmax(ImageEncoder):
    """A wide stride, residual convolutions, then where each channel peaks, and what is there.

    Two coordinate channels are appended to the picture (Liu et al. 2018), so that filters can tell places apart. A
    soft-argmax finds a peak between cells, so that a map a quarter as high and wide as the picture is exact enough.

    Coordinates cannot say how a thing is turned or what it is. So each peak also reads ``num_values`` maps by the
    weights that located it: attention with one query a channel.

    Args:
        channels: of the picture, all frames together.
        width: channels of the maps. The first convolution has filters of 8 x 8, every four pixels, as in Mnih et al.
            2015: in the same time two narrower strides of two learn less.
        num_blocks: residual blocks of two convolutions behind it.
        num_values: numbers read at each peak.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 32,
        num_blocks: int = 1,
        num_values: int = 8,
    ) -> None:
        super().__init__()
        self.strided = nn.Conv2d(channels + 2, width, 8, stride=4, padding=4)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(2 * num_blocks)
        )
        self.what = nn.Conv2d(width, num_values, 1)
        self.where = SpatialSoftmax()
        self.feature_size = (2 + num_values) * width

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pictures of any size and side ratio."""
        batch, _, height, width = image.shape
        y = torch.linspace(-1, 1, height, device=image.device).view(1, 1, -1, 1)
        x = torch.linspace(-1, 1, width, device=image.device).view(1, 1, 1, -1)
        coordinates = [axis.expand(batch, 1, height, width) for axis in (x, y)]
        h = self.strided(torch.cat([image, *coordinates], 1))
        for first, second in zip(self.convs[::2], self.convs[1::2], strict=True):
            h = h + second(F.relu(first(F.relu(h))))
        weight = self.where.weights(h.float())  # a weighted mean of coordinates needs the digits
        values = self.what(F.relu(h)).float()
        read = weight.flatten(2) @ values.flatten(2).mT
        return torch.cat([self.where.coordinates(weight), read.flatten(1)], 1)


def random_shift(image: Shaped[Tensor, "B C H W"], most: int) -> Shaped[Tensor, "B C H W"]:
    """Each picture moved by up to ``most`` pixels along both axes, its border repeated (Kostrikov et al. 2021)."""
    batch, channels, height, width = image.shape
    device = image.device
    shift = torch.randint(-most, most + 1, (2, batch, 1), device=device)
    rows = (torch.arange(height, device=device) + shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + shift[1]).clamp(0, width - 1)
    items = torch.arange(batch, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, -1, 1, 1)
    return image[items, channel, rows[:, None, :, None], columns[:, None, None, :]]
