"""A penalty on the gradient of an energy, without which Langevin chains diverge in training."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ibc.energies import UnitSpace
from ibc.losses.regularizers import Regularizer
from ibc.random import RandomSource


def gradient_penalty(gradient: Float[Tensor, "B N A"], margin: float = 1.0) -> Float[Tensor, " B"]:
    """``mean_n max(0, |gradient_n|_inf - margin)^2`` over all candidates of an example.

    As in the official code (google-research/ibc, ``ibc/losses/gradient_loss.py``), which averages over negatives and
    the positive; the paper (appendix B.3.1) writes a sum over the negatives.
    """
    slope = gradient.abs().amax(-1)
    return (slope - margin).clamp(min=0).square().mean(-1)


class GradientPenalty(Regularizer):
    """Penalizes gradients above ``margin``, in the unit cube."""

    name = "gradient_penalty"

    def __init__(self, *, weight: float = 1.0, margin: float = 1.0) -> None:
        self.weight = weight
        self.margin = margin

    def __call__(
        self, space: UnitSpace, unit: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, ""]:
        """See :class:`Regularizer`."""
        gradient = space.gradient(unit.detach(), create_graph=True)
        return self.weight * gradient_penalty(gradient, self.margin).mean()
