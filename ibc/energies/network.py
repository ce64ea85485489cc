"""What every energy made of networks has: an encoder, a unit cube, and perhaps an idea of where to start."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import BoundEnergy, Energy
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.nn import ActionBounds, ObsEncoder
from ibc.spec import Obs, Spec


class NetworkEnergy(Energy):
    """An energy that is fitted to data and trained.

    Attributes:
        encoder: of observations.
        bounds: the unit cube of actions.
    """

    bounds: ActionBounds

    def __init__(self, encoder: ObsEncoder | None = None) -> None:
        super().__init__()
        self.encoder = ObsEncoder() if encoder is None else encoder

    def build(self, spec: Spec) -> None:
        """Make the networks for a task; called once, by the policy that is given the energy.

        Raises:
            UserError: it belongs to another policy.
        """
        if hasattr(self, "bounds"):
            raise UserError(f"this {type(self).__name__} is part of another policy already")
        self.encoder.build(spec)
        self.bounds = ActionBounds(spec.action_size)

    def limits(self) -> Box:
        """See :class:`Energy`: the range of the demonstrations, and a little more."""
        return Box.of(self.bounds)

    def fit_actions(self, unit_action: Float[Tensor, "M A"]) -> None:
        """One pass over all demonstrated actions, after the bounds are known and before any gradient."""

    @abstractmethod
    def bind(self, obs: Obs) -> BoundEnergy:
        """See :class:`Energy`."""
