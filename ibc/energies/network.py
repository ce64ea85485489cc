"""What every energy made of networks has: an encoder, a unit cube, and perhaps an idea of where to start."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import BoundEnergy, Energy
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.nn import ActionBounds, ObsEncoder, default_encoder
from ibc.spec import Obs, Spec


@dataclass(eq=False, repr=False)
class NetworkEnergy(Energy):
    """An energy that is fitted to data and trained.

    Attributes:
        encoder: of observations; :func:`ibc.nn.default_encoder` by default.
        bounds: the unit cube of actions.
    """

    encoder: ObsEncoder = field(default_factory=default_encoder)
    bounds: ActionBounds = field(init=False)

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


def noise_levels(min_std: float, max_std: float, count: int) -> tuple[float, ...]:
    """Return noise levels in equal ratios, the largest first.

    Raises:
        ValueError: levels that do not increase, or fewer than two.
    """
    if not 0 < min_std < max_std or count < 2:
        raise ValueError(
            f"needs 0 < min_std < max_std and two levels, got {min_std}, {max_std}, {count}"
        )
    ratio = (min_std / max_std) ** (1 / (count - 1))
    return tuple(max_std * ratio**i for i in range(count))
