"""A constraint from a function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import STRENGTH, Constraint
from ibc.errors import UserError
from ibc.spec import Obs


class Custom(Constraint):
    """A constraint from a function: ``function(obs, action)`` computes the excess (B, N) of actions (B, N, A).

    Its gradient is taken by automatic differentiation, if the search follows gradients.

    Args:
        function: of ``{name: (B, To, ...)}`` and (B, N, A), environment units; positive where violated, in any unit.
        strength: energy of one squared unit of excess.

    Raises:
        UserError: no function, or a strength that is not positive.
    """

    def __init__(
        self, function: Callable[[Obs, Tensor], Tensor], strength: float = STRENGTH
    ) -> None:
        super().__init__(strength=strength)
        if not callable(function):
            raise UserError(f"Custom: {function!r} is not a function of (obs, action)")
        self.function = function

    @property
    def name(self) -> str:
        function = getattr(self, "function", None)
        return f"Custom({getattr(function, '__name__', type(function).__name__)})"

    def excess(self, points: Float[Tensor, "B N 1 A"], obs: Obs) -> Float[Tensor, "B N 1"]:
        """Call the function.

        Raises:
            UserError: it gives NaN, or not one floating point number for each candidate.
        """
        out = self.function(obs, points[:, :, 0])
        if not isinstance(out, Tensor) or out.shape != points.shape[:2]:
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise UserError(f"it gives {shape}, expected shape {tuple(points.shape[:2])}")
        if not out.is_floating_point():
            raise UserError(f"it gives {out.dtype}, expected by how much each action violates it")
        if torch.isnan(out).any():
            raise UserError("it gives NaN for some actions")
        return out.unsqueeze(-1)
