"""Observations that are sets: things in no particular order, some of which do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.component import check_positive
from ibc.nn.encoders import ObsEncoder
from ibc.nn.mlp import initialize
from ibc.nn.normalizer import Normalizer
from ibc.nn.vision.conv import ConvSpatialSoftmax
from ibc.spec import Obs, Spec

#: An observation ``NAME`` (N, D) beside ``NAME_mask`` (N,) is a set of up to N things, present where the mask is 1.
MASK = "_mask"


@dataclass(eq=False, repr=False)
class DeepSetsEncoder(ObsEncoder):
    """Deep sets (Zaheer et al. 2017): one network for each thing, then mean and maximum over those that exist.

    The features do not change when things change places, nor with what stands where nothing is. The network of a thing
    also sees all the rest of the observation: what a piece means depends on where the stick is, and a sum over pieces
    could not tell afterwards. A thing keeps its place in the array for a window, and its time steps go in together.

    What is not part of a set is encoded as by :class:`ObsEncoder` and comes first; gates see both.

    Args:
        set_width: of the two layers of the network of a thing; each set gives ``2 * set_width + 1`` features, the last
            of them the share of places that are taken.
        num_gates, the others: as for :class:`ObsEncoder`.

    Raises:
        UserError: no width.
    """

    _: KW_ONLY
    set_width: int = 128
    num_gates: int = 0

    def __post_init__(self) -> None:
        check_positive(self, "set_width")
        super().__post_init__()

    def _build_parts(self, spec: Spec) -> int:
        self.set_names = sorted(
            name
            for name, field in spec.obs.items()
            if len(field.shape) == 2
            and name + MASK in spec.obs
            and spec.obs[name + MASK].shape == field.shape[:1]
        )
        in_sets = {*self.set_names, *(name + MASK for name in self.set_names)}
        rest = super()._build_parts(
            replace(spec, obs={n: field for n, field in spec.obs.items() if n not in in_sets})
        )
        sizes = [spec.obs[name].shape[1] for name in self.set_names]
        self.set_normalizers = nn.ModuleList(
            Normalizer(size, sqrt_std=self.sqrt_std) for size in sizes
        )
        width = self.set_width
        self.each = nn.ModuleList(
            nn.Sequential(
                nn.Linear(spec.obs_horizon * size + rest, width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.ReLU(),
            )
            for size in sizes
        )
        initialize(self.each)
        return rest + len(self.set_names) * (2 * width + 1)

    def fit(self, obs: Mapping[str, Tensor]) -> None:
        """Set the normalizers from all observations of a data set, those of sets from the things that exist."""
        super().fit(obs)
        for name, normalizer in zip(self.set_names, self.set_normalizers, strict=True):
            assert isinstance(normalizer, Normalizer)
            there = obs[name][obs[name + MASK] > 0.5]
            if len(there) > 0:
                normalizer.fit(there)

    def _parts(self, obs: Obs) -> Float[Tensor, "B I"]:
        first = obs[next(iter(obs))]
        rest = (
            super()._parts(obs)
            if self.vector_names or self.image_names
            else torch.zeros(len(first), 0, device=first.device)
        )
        parts = [rest]
        for name, normalizer, each in zip(
            self.set_names, self.set_normalizers, self.each, strict=True
        ):
            things = normalizer(obs[name])
            if self.training and self.noise_std > 0:
                things = things + self.noise_std * torch.randn_like(things)
            things = things.transpose(1, 2).flatten(2)  # (B, N, To * D)
            context = rest.unsqueeze(1).expand(-1, things.shape[1], -1)
            there = (obs[name + MASK][:, -1] > 0.5).to(things.dtype).unsqueeze(-1)
            # Rectified features are not negative, so a zero never is the maximum that another thing would have been.
            features = each(torch.cat([things, context], dim=-1)) * there
            count = there.sum(1)
            parts += [features.sum(1) / count.clamp(min=1.0), features.amax(1), there.mean(1)]
        return torch.cat(parts, dim=-1)


def default_encoder() -> DeepSetsEncoder:
    """Make the encoder of any observation: vectors with gates, pictures by spatial softmax, sets."""
    return DeepSetsEncoder(ConvSpatialSoftmax(), num_gates=128)
