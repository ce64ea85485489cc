"""Turn a trained energy into a constraint that allows the typical set of its density."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.energies.base import BoundEnergy, Energy, as_bound
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.spec import Obs

#: Candidates over which the average is taken: to a few hundredths in two dimensions.
NUM_TYPICAL = 1024


class TypicalSet(Energy):
    """``strength * max(0, E - <E> - margin)``, where ``<E>`` is the mean of E over its own density ``exp(-E)``.

    For energies trained as densities (InfoNCE) on demonstrations without preference: on demonstrated actions such an
    energy is constant up to training errors, and a sum with another energy would follow these errors. This constraint
    is flat there, and does not depend on the additive constant of the energy. ``<E>`` is computed for each observation
    by a sum over candidates spread evenly over the energy's box.

    Args:
        energy: trained, with a box.
        margin: allowed energy above the mean, in nats.
        strength: energy of one nat beyond it.

    Raises:
        UserError: the energy has no box, or a number makes no sense.
    """

    def __init__(self, energy: Energy, *, margin: float = 0.0, strength: float = 10.0) -> None:
        super().__init__()
        if not isinstance(energy, Energy) or energy.limits() is None:
            raise UserError(
                f"TypicalSet needs an energy with a box, trained ones have; got a {type(energy).__name__}"
            )
        if not (0 < strength < math.inf and math.isfinite(margin)):
            raise UserError(
                f"TypicalSet: strength={strength}, margin={margin}; allowed: positive, and any number"
            )
        self.energy = energy
        self.margin = margin
        self.strength = strength

    def limits(self) -> Box | None:
        """Return the box of the energy."""
        return self.energy.limits()

    @torch.no_grad()
    def bind(self, obs: Obs) -> BoundTypicalSet:
        """See :class:`Energy`; the mean is computed here."""
        fn, box = as_bound(self.energy.bind(obs)), self.limits()
        assert box is not None
        batch = len(next(iter(obs.values())))
        energy = fn(box.spread(NUM_TYPICAL).expand(batch, -1, -1))
        typical = (torch.softmax(-energy, 1) * energy).sum(1, keepdim=True)
        return BoundTypicalSet(fn, typical + self.margin, self.strength)


@dataclass(eq=False)
class BoundTypicalSet(BoundEnergy):
    """A :class:`TypicalSet` with its observation bound; ``threshold`` (B, 1) is the highest energy that is feasible."""

    is_constrained = True
    fn: BoundEnergy
    threshold: Float[Tensor, "B 1"]
    strength: float

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return self.strength * (self.fn(action) - self.threshold).clamp(min=0)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        outside = self.strength * (self.fn(action) > self.threshold).unsqueeze(-1)
        return outside * self.fn.action_gradient(action)

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        return self.fn(action) <= self.threshold

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return self(action)
