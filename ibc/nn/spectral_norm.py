"""Spectral normalization by one power iteration a use (Miyato et al. 2018, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize


class SpectralNorm(nn.Module):
    """Divides a weight (out, in) by an estimate of its largest singular value.

    The estimate is improved by one iteration each time the weight is used for training, and frozen otherwise, as in the
    chains that look for negatives; the gradient flows through it.

    Differs from ``torch.nn.utils.parametrizations.spectral_norm`` in that the state is the
    left vector alone, as in the official networks (google-research/ibc, ``networks/layers/spectral_norm.py``).
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(weight.shape[0]), dim=0))

    def sigma(self, weight: Tensor) -> Tensor:
        """The estimated largest singular value, a scalar."""
        learning = torch.is_grad_enabled()
        with torch.no_grad():
            v = F.normalize(self.u @ weight, dim=0)
            u = F.normalize(weight @ v, dim=0)
            if self.training and learning:
                self.u.copy_(u)
        return u @ weight @ v

    def forward(self, weight: Tensor) -> Tensor:
        """The normalized weight."""
        return weight / self.sigma(weight)


def spectral_norm(module: nn.Module) -> None:
    """Normalize every dense layer of a module, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
