"""A trained energy as a constraint: whatever is as good as what it was shown is allowed, and none of it better."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.energies.base import Energy, EnergyFn, action_gradient
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.spec import Obs

#: Candidates over which the average is taken: to a few hundredths in two dimensions.
NUM_TYPICAL = 1024


class TypicalSet(Energy):
    """``strength * max(0, E - <E> - margin)``, where ``<E>`` is the mean of E over its own density ``exp(-E)``.

    For energies trained as densities (InfoNCE) on demonstrations without preference: inside what was demonstrated such
    an energy is a constant but for the errors of training, and a sum with another energy would follow these errors.
    Here the inside is flat, whatever number the energy has been learned up to. ``<E>``, the entropy of a density that
    sums to one, is taken at every observation anew, by a sum over candidates spread evenly over the energy's box.

    Args:
        energy: trained, with a box.
        margin: how much worse than typical is still allowed, in nats.
        strength: energy of one nat beyond that.

    Raises:
        UserError: the energy has no box, or a number makes no sense.
    """

    def __init__(self, energy: Energy, *, margin: float = 0.0, strength: float = 10.0) -> None:
        super().__init__()
        if not isinstance(energy, Energy) or energy.limits() is None:
            raise UserError(
                f"Typical needs an energy with a box, trained ones have; got a {type(energy).__name__}"
            )
        if not (0 < strength < math.inf and math.isfinite(margin)):
            raise UserError(
                f"Typical: strength={strength}, margin={margin}; allowed: positive, and any number"
            )
        self.energy = energy
        self.margin = margin
        self.strength = strength

    def limits(self) -> Box | None:
        """Those of the energy."""
        return self.energy.limits()

    @torch.no_grad()
    def bind(self, obs: Obs) -> BoundTypical:
        """See :class:`Energy`; the mean is taken here."""
        fn, box = self.energy.bind(obs), self.limits()
        assert box is not None
        batch = len(next(iter(obs.values())))
        energy = fn(box.spread(NUM_TYPICAL).expand(batch, -1, -1))
        typical = (torch.softmax(-energy, 1) * energy).sum(1, keepdim=True)
        return BoundTypical(fn, typical + self.margin, self.strength)


class BoundTypical:
    """A :class:`TypicalSet` with its observation bound; ``level`` (B, 1) is the highest energy that is allowed."""

    def __init__(self, fn: EnergyFn, level: Float[Tensor, "B 1"], strength: float) -> None:
        self.fn = fn
        self.level = level
        self.strength = strength

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`EnergyFn`."""
        return self.strength * (self.fn(action) - self.level).clamp(min=0)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`HasActionGradient`."""
        outside = self.strength * (self.fn(action) > self.level).unsqueeze(-1)
        return outside * action_gradient(self.fn, action, create_graph=torch.is_grad_enabled())

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return self.fn(action) <= self.level

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return self(action)
