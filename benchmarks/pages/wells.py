"""An energy written by hand, for pictures: one minimum in a plane."""

from collections.abc import Sequence

import torch

from ibc.energies import Box, Energy, EnergyFn
from ibc.spec import Obs


class Well(Energy):
    """Half the squared distance from a minimum, in units of a width in each direction.

    Args:
        minimum: where the energy is zero.
        width: the standard deviation of the density ``exp(-energy)`` in each direction.
    """

    def __init__(self, minimum: Sequence[float], width: Sequence[float]) -> None:
        super().__init__()
        self.minimum, self.width = torch.tensor(minimum), torch.tensor(width)

    def limits(self) -> Box:
        """The plane from -1 to 1."""
        return Box(torch.full((2,), -1.0), torch.full((2,), 1.0))

    def bind(self, obs: Obs) -> EnergyFn:
        """The same for every observation."""
        return lambda action: 0.5 * ((action - self.minimum) / self.width).square().sum(-1)
