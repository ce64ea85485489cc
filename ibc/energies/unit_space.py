"""View an energy in the unit cube, where samplers and losses work."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import BoundEnergy, BoundNetworkEnergy, EnergyFn, as_bound
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource


class UnitSpace:
    """A bound energy as a function of actions in the unit cube of ``bounds``, and the box that is searched there.

    Step sizes and noise have the same meaning on every task in this space. Energies that are computed in the same unit
    cube are evaluated without conversion.

    Args:
        energy: bound to the observations, or any function of actions in environment units.
        bounds: the unit cube and the search box.
        temperature: by which the energy is divided.

    Attributes:
        low, high: the search box (A,) in the unit cube.
        sigmas, is_autoregressive: as of :class:`BoundEnergy`.
        plan: (B, 1, A), the chunk so far, from which a search through noise levels goes on; NaN for an observation
            that has none, None where nothing has been planned.
    """

    plan: Float[Tensor, "B 1 A"] | None = None

    def __init__(self, energy: EnergyFn, bounds: ActionBounds, temperature: float = 1.0) -> None:
        self.bound = as_bound(energy)
        self.bounds = bounds
        self.temperature = temperature
        self.low, self.high = bounds.unit_low, bounds.unit_high
        self.sigmas = self.bound.sigmas
        self.is_autoregressive = self.bound.is_autoregressive
        self._direct: BoundNetworkEnergy | None = None
        if isinstance(self.bound, BoundNetworkEnergy) and self.bound.bounds is bounds:
            self._direct = self.bound

    def energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Compute the energy of each candidate."""
        if self._direct is not None:
            energy = self._direct.unit_energy(unit)
        else:
            energy = self.bound(self.bounds.from_unit(unit))
        return energy if self.temperature == 1 else energy / self.temperature

    def gradient(
        self, unit: Float[Tensor, "B N A"], *, create_graph: bool = False
    ) -> Float[Tensor, "B N A"]:
        """Compute the gradient of :meth:`energy`.

        Detached, unless ``create_graph`` asks for a function of the parameters, and of ``unit`` if that requires a
        gradient.
        """
        with torch.set_grad_enabled(create_graph):
            if self._direct is not None:
                gradient = self._direct.unit_gradient(unit)
            else:
                action = self.bounds.from_unit(unit)
                gradient = self.bound.action_gradient(action) * self.bounds.half_range
            return gradient if self.temperature == 1 else gradient / self.temperature

    def clamp(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """Return the nearest point of the search box."""
        return self.bounds.clamp_unit(unit)

    def uniform(self, batch: int, count: int, rng: RandomSource) -> Float[Tensor, "B N A"]:
        """Draw candidates uniformly from the search box."""
        return self.low + (self.high - self.low) * rng.uniform(batch, count, len(self.low))

    def low_precision(self) -> UnitSpace:
        """Return the space of the energy's cheaper approximation; itself if there is none."""
        cheap = self.bound.low_precision()
        return self if cheap is self.bound else self._with(cheap)

    def tempered(self, temperature: float) -> UnitSpace:
        """Return the space of ``E / temperature``."""
        return self._with(self.bound, temperature)

    def prefix(self, unit: Float[Tensor, "B N A"], j: int) -> Float[Tensor, "B N"]:
        """Compute ``E_j(o, a_1..a_j)``, j counted from zero; the whole energy if there are no prefix energies."""
        if not self.is_autoregressive:
            return self.energy(unit)
        return self.bound.prefix(unit, j) / self.temperature

    def at(self, sigma: Float[Tensor, "B 1"]) -> UnitSpace:
        """Return the space of the energy at the given noise level of each batch item.

        Raises:
            UserError: the energy is not conditioned on noise.
        """
        return self._with(self.bound.at(sigma))

    def at_each(self, sigmas: Float[Tensor, "L B 1"]) -> list[UnitSpace]:
        """Return the space of the energy at each of L noise levels.

        Raises:
            UserError: the energy is not conditioned on noise.
        """
        return [self._with(energy) for energy in self.bound.at_each(sigmas)]

    def _with(self, energy: BoundEnergy, temperature: float = 1.0) -> UnitSpace:
        space = UnitSpace(energy, self.bounds, self.temperature * temperature)
        space.plan = self.plan
        return space
