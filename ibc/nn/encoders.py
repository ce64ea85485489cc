"""From named observations to one feature vector: normalise, stack frames, encode images, concatenate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ibc.nn.mlp import initialise
from ibc.nn.normalizer import Normalizer
from ibc.nn.spatial_softmax import SpatialSoftmax
from ibc.types import Obs, Spec


def stack_frames(frames: Shaped[Tensor, "B To H W C"]) -> Shaped[Tensor, "B ToC H W"]:
    """Frames side by side in the channel dimension: channel ``t * C + c`` is channel c of frame t.

    The transposition matters: a bare reshape from this layout would interleave the pixels of the frames.
    """
    return frames.permute(0, 1, 4, 2, 3).flatten(1, 2)


class ImageEncoder(nn.Module):
    """Base of the image encoders: maps (B, C, H, W) in [-1, 1] to (B, ``feature_size``)."""

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
    """Residual convolutions at half resolution, then the coordinates of each channel's peak.

    Two coordinate channels are appended to the picture (Liu et al. 2018), so that filters can tell places apart.
    """

    def __init__(self, channels: int, *, width: int = 32, num_blocks: int = 2) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels + 2, width, 5, stride=2, padding=2)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(2 * num_blocks)
        )
        self.where = SpatialSoftmax()
        self.feature_size = 2 * width

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Pictures of any size and side ratio."""
        batch, _, height, width = image.shape
        y = torch.linspace(-1, 1, height, device=image.device).view(1, 1, -1, 1)
        x = torch.linspace(-1, 1, width, device=image.device).view(1, 1, 1, -1)
        coordinates = [axis.expand(batch, 1, height, width) for axis in (x, y)]
        h = self.conv_in(torch.cat([image, *coordinates], 1))
        for first, second in zip(self.convs[::2], self.convs[1::2], strict=True):
            h = h + second(F.relu(first(F.relu(h))))
        features: Tensor = self.where(h)
        return features


class ObsEncoder(nn.Module):
    """All of an observation as one feature vector.

    Vector observations are standardised and flattened over time; each image goes through an encoder of its own, built
    by ``image_encoder(channels)``. Names are taken in sorted order.

    ``noise_std`` shakes standardised vectors in training mode: what a demonstrator decides within a hair's breadth, a
    policy must also decide where its own small errors have led it.

    ``num_gates`` adds that many :class:`GatedFeatures` of all vectors together.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        image_encoder: Callable[[int], ImageEncoder],
        sqrt_std: bool = False,
        noise_std: float = 0.0,
        num_gates: int = 0,
    ) -> None:
        super().__init__()
        self.noise_std = noise_std
        # Names are the environment's and may not be those of modules, so parts are kept by position.
        self.vector_names = sorted(name for name, field in spec.obs.items() if not field.is_image)
        self.image_names = sorted(name for name, field in spec.obs.items() if field.is_image)
        sizes = [math.prod(spec.obs[name].shape) for name in self.vector_names]
        self.normalizers = nn.ModuleList(Normalizer(size, sqrt_std=sqrt_std) for size in sizes)
        self.image_encoders = nn.ModuleList(
            image_encoder(spec.obs_horizon * spec.obs[name].shape[-1]) for name in self.image_names
        )
        vector_size = spec.obs_horizon * sum(sizes)
        self.gated = GatedFeatures(vector_size, num_gates) if num_gates and sizes else None
        self.feature_size = vector_size + (num_gates if self.gated is not None else 0)
        for encoder in self.image_encoders:
            assert isinstance(encoder, ImageEncoder)
            self.feature_size += encoder.feature_size

    def fit(self, obs: Mapping[str, Tensor]) -> None:
        """Set the normalisers from all observations of a data set, ``{name: (M, *shape)}``."""
        for name, normalizer in zip(self.vector_names, self.normalizers, strict=True):
            assert isinstance(normalizer, Normalizer)
            normalizer.fit(obs[name].reshape(len(obs[name]), -1))

    def forward(self, obs: Obs) -> Float[Tensor, "B F"]:
        """Features of ``{name: (B, To, *shape)}``, in environment units, images as uint8."""
        vectors: list[Tensor] = []
        for name, normalizer in zip(self.vector_names, self.normalizers, strict=True):
            batch, horizon = obs[name].shape[:2]
            vector = normalizer(obs[name].reshape(batch, horizon, -1)).flatten(1)
            if self.training and self.noise_std > 0:
                vector = vector + self.noise_std * torch.randn_like(vector)
            vectors.append(vector)
        parts = list(vectors)
        for name, encoder in zip(self.image_names, self.image_encoders, strict=True):
            parts.append(encoder(stack_frames(obs[name]).float() / 127.5 - 1.0))
        if self.gated is not None:
            parts.append(self.gated(torch.cat(vectors, dim=-1)))
        return torch.cat(parts, dim=-1)


class GatedFeatures(nn.Module):
    """``sigmoid(g(x)) * (V x)``: linear features, each let through or held back by a small network.

    A demonstrator often *selects*: this goal now, then that one. A gate that closes selects exactly, which rectifiers
    alone only approximate (gated linear units, Dauphin et al. 2017). The gates see rectified features and products of
    two linear ones, since distances and angles, by which one selects, are sums of products.
    """

    def __init__(self, in_size: int, num_gates: int) -> None:
        super().__init__()
        self.rectified = nn.Linear(in_size, num_gates)
        self.left = nn.Linear(in_size, num_gates, bias=False)
        self.right = nn.Linear(in_size, num_gates)
        self.gate = nn.Linear(2 * num_gates, num_gates)
        self.value = nn.Linear(in_size, num_gates)
        initialise(self)

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        """Vectors to as many features as there are gates."""
        hidden = torch.cat([F.relu(self.rectified(x)), self.left(x) * self.right(x)], dim=-1)
        selected: Tensor = torch.sigmoid(self.gate(hidden)) * self.value(x)
        return selected
