"""Spatial soft-argmax: where in the picture each feature is (Finn et al. 2016; Levine et al. 2016)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SpatialSoftmax(nn.Module):
    """Expected image coordinates of each channel under a softmax over its map, with a trained temperature.

    Coordinates are in [-1, 1]: x grows with the column, y with the row; each axis spans its own side of the map.
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
