"""From named observations to one feature vector: normalize, stack frames, encode images, concatenate."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ibc.device import reduced_precision
from ibc.errors import UserError
from ibc.nn.mlp import initialize
from ibc.nn.module import Module
from ibc.nn.normalizer import Normalizer
from ibc.nn.vision.augment import center_crop, color_jitter, random_crop, random_shift
from ibc.nn.vision.conv import ConvMaxPool, ImageEncoder, stack_frames
from ibc.nn.vision.normalization import image_normalizer
from ibc.spec import Obs, Spec

#: Numbers in a learned vector.
VECTOR_SIZE = 16
#: Mean square of a learned vector below which its length is as good as zero: a hundredth in standardized observations.
NEGLIGIBLE = 1e-4


@dataclass(eq=False, repr=False)
class ObsEncoder(Module):
    """All of an observation as one feature vector.

    Vector observations are standardized and flattened over time; each image, normalized, goes through an image encoder.
    Names are taken in sorted order. :meth:`build` makes the networks.

    Args:
        image_encoder: encodes the images of one camera; copied for each camera. :class:`ConvMaxPool` by default.
        share_cameras: all cameras go through one image encoder.
        image_normalization: ``background``, less the background of the data; ``none``, ``standard`` or ``imagenet``
            (:class:`ibc.nn.vision.normalization.ChannelNormalizer`).
        sqrt_std: divide vectors by the square root of their standard deviation (the official code's choice for D4RL).
        noise_std: standard deviation of Gaussian noise on standardized vectors, in training mode.
        random_shift_pixels: images are moved by up to that many pixels, in training mode, all frames of a window alike.
        random_crop: (h, w) of a part that is cut out of images: anywhere in training mode, and the middle otherwise.
        color_jitter: brightness, contrast and saturation are changed by up to that part, in training mode, all frames
            of a window alike.
        num_gates: :class:`GatedFeatures` of vectors and image features, in addition to these.
        num_distance_features: learned vectors whose lengths and angles the gates see.
        angles: the entries of flat vectors that are angles (rad), by name of the observation; they are seen as cosine
            and sine, without a jump after a full turn.

    Attributes:
        feature_size: F, known once it is built.

    Raises:
        ValueError: distance features without gates, or a jitter that is no part.
    """

    image_encoder: ImageEncoder = field(default_factory=ConvMaxPool)
    _: KW_ONLY
    sqrt_std: bool = False
    noise_std: float = 0.0
    share_cameras: bool = False
    image_normalization: str = "background"
    random_shift_pixels: int = 0
    random_crop: Sequence[int] | None = None
    color_jitter: float = 0.0
    num_gates: int = 128
    num_distance_features: int = 0
    angles: Mapping[str, Sequence[int]] | None = None
    feature_size: int = field(init=False)

    def __post_init__(self) -> None:
        if self.num_distance_features and not self.num_gates:
            raise ValueError("num_distance_features needs num_gates of at least 1, which see them")
        if not 0 <= self.color_jitter < 1:
            raise ValueError(f"color_jitter={self.color_jitter}; allowed: 0 to below 1")
        if self.noise_std < 0 or self.random_shift_pixels < 0:
            raise ValueError(
                f"noise_std={self.noise_std}, random_shift_pixels={self.random_shift_pixels}; both must be at least 0"
            )
        # A template, copied in build: no part of this module, whose weights it does not hold.
        self.__dict__["image_encoder"] = self._modules.pop("image_encoder")

    def build(self, spec: Spec) -> None:
        """Make the networks for the observations of a task.

        Raises:
            UserError: it has been built for another policy, or an angle is no entry of an observation.
        """
        if hasattr(self, "feature_size"):
            raise UserError(f"this {type(self).__name__} is part of another policy already")
        size = self._build_parts(spec)
        self.gated = (
            GatedFeatures(size, self.num_gates, self.num_distance_features)
            if self.num_gates
            else None
        )
        self.feature_size = size + self.num_gates

    def _build_parts(self, spec: Spec) -> int:
        """Make all networks but the gates, and return the number of features that those see."""
        # Names are the environment's and may not be those of modules, so parts are kept by position.
        self.vector_names = sorted(name for name, field in spec.obs.items() if not field.is_image)
        self.image_names = sorted(name for name, field in spec.obs.items() if field.is_image)
        sizes = [
            math.prod(spec.obs[name].shape) + len(self._angles.get(name, ()))
            for name in self.vector_names
        ]
        for name, indices in self._angles.items():
            size = math.prod(spec.obs[name].shape) if name in self.vector_names else 0
            if not all(0 <= i < size for i in indices):
                raise UserError(
                    f"encoder.angles={{{name}: {indices}}}; the vectors are {', '.join(self.vector_names)}, "
                    f"and {name} has {size} entries"
                )
        self.pictures = nn.ModuleList(
            image_normalizer(self.image_normalization, spec.obs[name].shape)
            for name in self.image_names
        )
        self.normalizers = nn.ModuleList(Normalizer(size, sqrt_std=self.sqrt_std) for size in sizes)
        self.image_encoders, image_size = self._build_image_encoders(spec)
        return spec.obs_horizon * sum(sizes) + image_size

    def _build_image_encoders(self, spec: Spec) -> tuple[nn.ModuleList, int]:
        """An image encoder for each camera, which may be the same, and the size of all their features."""
        shapes = [spec.obs[name].shape for name in self.image_names]
        for name, shape in zip(self.image_names, shapes, strict=True):
            crop = shape[:2] if self.random_crop is None else tuple(self.random_crop)
            if len(crop) != 2 or not all(0 < c <= s for c, s in zip(crop, shape[:2], strict=True)):
                raise UserError(
                    f"encoder.random_crop={list(crop)}; {name} is {list(shape[:2])}, height and width"
                )
        if self.share_cameras and len({shape[-1] for shape in shapes}) > 1:
            raise UserError("encoder.share_cameras=true, and cameras differ in their channels")
        by_frame = self.image_encoder.by_frame
        encoders: list[ImageEncoder] = []
        for shape in shapes:
            if not self.share_cameras or not encoders:
                encoder = copy.deepcopy(self.image_encoder)
                encoder.build(shape[-1] * (1 if by_frame else spec.obs_horizon))
            encoders.append(encoder)
        total = sum(encoder.feature_size for encoder in encoders)
        return nn.ModuleList(encoders), total * (spec.obs_horizon if by_frame else 1)

    def fit(self, obs: Mapping[str, Tensor]) -> None:
        """Set the normalizers from a data set's vectors ``{name: (M, *shape)}`` and some of its pictures."""
        for name, normalizer in zip(self.vector_names, self.normalizers, strict=True):
            assert isinstance(normalizer, Normalizer)
            normalizer.fit(self._with_angles(name, obs[name].reshape(len(obs[name]), -1)))
        for name, camera in zip(self.image_names, self.pictures, strict=True):
            camera.fit(obs[name])  # type: ignore[operator]
        for encoder in dict.fromkeys(self.image_encoders):
            assert isinstance(encoder, ImageEncoder)
            encoder.fit()

    def forward(self, obs: Obs) -> Float[Tensor, "B F"]:
        """Features of ``{name: (B, To, *shape)}``, in environment units, images as uint8."""
        features = self._parts(obs)
        return features if self.gated is None else torch.cat([features, self.gated(features)], -1)

    def _parts(self, obs: Obs) -> Float[Tensor, "B I"]:
        """What the gates see."""
        parts: list[Tensor] = []
        for name, normalizer in zip(self.vector_names, self.normalizers, strict=True):
            batch, horizon = obs[name].shape[:2]
            vector = self._with_angles(name, obs[name].reshape(batch, horizon, -1))
            vector = normalizer(vector).flatten(1)
            if self.training and self.noise_std > 0:
                vector = vector + self.noise_std * torch.randn_like(vector)
            parts.append(vector)
        for name, camera, encoder in zip(
            self.image_names, self.pictures, self.image_encoders, strict=True
        ):
            image, channels = stack_frames(obs[name]), obs[name].shape[-1]
            parts.append(self._image_features(camera, encoder, image, channels))
        return torch.cat(parts, dim=-1)

    @property
    def _angles(self) -> Mapping[str, Sequence[int]]:
        given = self.angles or {}
        if not isinstance(given, Mapping) or not all(
            isinstance(i, list | tuple) for i in given.values()
        ):
            raise UserError(f"encoder.angles={given}; it is {{NAME: [ENTRY, ...]}}")
        return given

    def _with_angles(self, name: str, vector: Float[Tensor, "... D"]) -> Float[Tensor, "... E"]:
        """Replace angles by their cosine, and append their sine."""
        if name not in self._angles:
            return vector
        indices = list(self._angles[name])
        angle = vector[..., indices]
        vector = vector.clone()
        vector[..., indices] = angle.cos()
        return torch.cat([vector, angle.sin()], -1)

    def _image_features(
        self,
        camera: nn.Module,
        encoder: nn.Module,
        image: Shaped[Tensor, "B ToC H W"],
        channels: int,
    ) -> Float[Tensor, "B F"]:
        """In training, convolutions are taken in reduced precision, like the products of the energy."""
        assert isinstance(encoder, ImageEncoder)
        if self.training and self.color_jitter > 0:
            image = color_jitter(image, channels, self.color_jitter)
        picture: Tensor = camera(image)
        if self.random_crop is not None:
            height, width = self.random_crop
            picture = (random_crop if self.training else center_crop)(picture, (height, width))
        if self.training and self.random_shift_pixels > 0:
            picture = random_shift(picture, self.random_shift_pixels)
        if encoder.by_frame:
            picture = picture.reshape(-1, channels, *picture.shape[2:])
        dtype = reduced_precision() if self.training else None
        with nullcontext() if dtype is None else torch.autocast(image.device.type, dtype):
            features: Tensor = encoder(picture)
        return features.float().view(len(image), -1)


class GatedFeatures(nn.Module):
    """``sigmoid(g(x)) * (V x)``: linear features, each let through or held back by a small network.

    A demonstrator often *selects*: this goal now, then that one. A gate that closes selects exactly, which rectifiers
    alone only approximate (gated linear units, Dauphin et al. 2017). The gates see rectified features and products of
    two linear ones, since distances and angles, by which one selects, are sums of products.

    With ``num_distance_features``, they also see the lengths of that many learned vectors ``u = W x + b``, as
    ``log(|u|^2 / R + epsilon)``, and the cosines between them. "Closer than a hundredth" is a sharp bend of a
    squared distance, which is mostly thousands of times larger, and a gentle slope of its logarithm; "coming or
    going" is the sign of a cosine, however slow the movement.
    """

    def __init__(self, in_size: int, num_gates: int, num_distance_features: int = 0) -> None:
        super().__init__()
        self.num_distance_features = num_distance_features
        self.rectified = nn.Linear(in_size, num_gates)
        self.left = nn.Linear(in_size, num_gates, bias=False)
        self.right = nn.Linear(in_size, num_gates)
        self.vectors = (
            nn.Linear(in_size, num_distance_features * VECTOR_SIZE)
            if num_distance_features
            else None
        )
        num_angles = num_distance_features * (num_distance_features - 1) // 2
        self.gate = nn.Linear(2 * num_gates + num_distance_features + num_angles, num_gates)
        self.value = nn.Linear(in_size, num_gates)
        initialize(self)

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        """Vectors to as many features as there are gates."""
        hidden = [F.relu(self.rectified(x)), self.left(x) * self.right(x)]
        if self.vectors is not None:
            vectors = self.vectors(x).unflatten(-1, (self.num_distance_features, VECTOR_SIZE))
            square = vectors.square().mean(-1) + NEGLIGIBLE
            unit = vectors * (VECTOR_SIZE * square).rsqrt().unsqueeze(-1)
            i, j = torch.triu_indices(
                self.num_distance_features, self.num_distance_features, 1, device=x.device
            )
            hidden += [square.log(), (unit @ unit.transpose(1, 2))[:, i, j]]
        selected: Tensor = torch.sigmoid(self.gate(torch.cat(hidden, -1))) * self.value(x)
        return selected
