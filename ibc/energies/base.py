"""Define an energy: a function of observation and action that is low where the action is good."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.nn.action_bounds import ActionBounds
from ibc.nn.densities import BoundDensity
from ibc.nn.module import Module
from ibc.spec import Obs

#: Any function from actions (B, N, A) in environment units to energies (B, N).
EnergyFn = Callable[[Tensor], Tensor]


class BoundEnergy(ABC):
    """An energy with its observation bound: a function of actions in environment units.

    A subclass defines :meth:`__call__`, and overrides the other methods and attributes where it has more to offer.

    Attributes:
        bounds: the unit cube in which the energy is computed (:class:`BoundNetworkEnergy`), or None.
        proposal: the predicted action (B, 1, A) in the unit cube, or None.
        density: a density from which a search draws its first candidates, or None.
        sigmas: standard deviations of the noise levels in the unit cube, the largest first; empty without levels.
        is_autoregressive: whether :meth:`prefix` has energies of its own.
        is_constrained: whether some actions are infeasible.
    """

    bounds: ActionBounds | None = None
    proposal: Tensor | None = None
    density: BoundDensity | None = None
    sigmas: tuple[float, ...] = ()
    is_autoregressive: bool = False
    is_constrained: bool = False

    @abstractmethod
    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """Compute the energy of each candidate."""

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """Compute ``dE/da`` in environment units, by automatic differentiation unless overridden.

        Where gradients are enabled, it is differentiable in the parameters, and in an action that requires a gradient.
        """
        return autograd_gradient(self, action)

    def low_precision(self) -> BoundEnergy:
        """Return a cheaper approximation for the part of a search that need not be exact; itself by default."""
        return self

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Test whether each candidate satisfies the constraints; without constraints, all do."""
        return torch.ones(action.shape[:2], dtype=torch.bool, device=action.device)

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """Compute the energy of the violated constraints, zero for feasible candidates."""
        return action.new_zeros(action.shape[:2])

    def action_sizes(self) -> list[tuple[str, int]]:
        """Return the numbers of one action of a chunk by each constraint that tells, with its name; by default none."""
        return []

    def along_motion(self) -> BoundEnergy:
        """Return the energy with its constraints along the whole predicted motion, for ``feasible`` and ``violation``.

        Itself where no constraint is about a motion.
        """
        return self

    def brake(self, length: int) -> Float[Tensor, "B A"] | None:
        """Return the action of ``length`` numbers that stops the body which constraints are about; None without one."""
        return None

    def merged(self, weight: float, other: BoundEnergy, other_weight: float) -> BoundEnergy | None:
        """Return ``weight * self + other_weight * other`` as one energy, or None if they share no computation."""
        return None

    def prefix(self, unit: Float[Tensor, "B N A"], j: int, /) -> Float[Tensor, "B N"]:
        """Compute ``E_j(o, a_1..a_j)`` in the unit cube, j counted from zero.

        Raises:
            UserError: the energy has no prefix energies.
        """
        raise UserError(
            f"{type(self).__name__} has no prefix energies (policy=implicit_autoregressive)"
        )

    def conditionals(
        self, prefix: Float[Tensor, "B M A"], values: Float[Tensor, "B M K A"], /
    ) -> Float[Tensor, "B M K A"]:
        """Compute ``E_j(o, prefix_1..prefix_{j-1}, value_j)`` of each value in each dimension j, in the unit cube.

        Raises:
            UserError: the energy has no prefix energies.
        """
        raise UserError(
            f"{type(self).__name__} has no prefix energies (policy=implicit_autoregressive)"
        )

    def at(self, sigma: Float[Tensor, "B 1"], /) -> BoundEnergy:
        """Return the energy at the given noise level of each batch item.

        Raises:
            UserError: the energy is not conditioned on noise.
        """
        raise UserError(
            f"{type(self).__name__} has no noise levels (policy=implicit_noise_conditioned)"
        )

    def at_each(self, sigmas: Float[Tensor, "L B 1"], /) -> Sequence[BoundEnergy]:
        """Return the energy at each of L noise levels; those that share computations override this.

        Raises:
            UserError: the energy is not conditioned on noise.
        """
        return [self.at(sigma) for sigma in sigmas]


class BoundNetworkEnergy(BoundEnergy):
    """A bound energy that is computed in the unit cube of its ``bounds``."""

    bounds: ActionBounds

    @abstractmethod
    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Compute the energy of candidates in the unit cube."""

    def unit_gradient(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """Compute ``dE/da`` in the unit cube, with the same contract as :meth:`BoundEnergy.action_gradient`."""
        return autograd_gradient(self.unit_energy, unit)

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return self.unit_energy(self.bounds.to_unit(action))

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        return self.unit_gradient(self.bounds.to_unit(action)) / self.bounds.half_range


class FunctionEnergy(BoundEnergy):
    """A plain function of actions as a bound energy."""

    def __init__(self, function: EnergyFn) -> None:
        self.function = function

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return self.function(action)


def as_bound(energy: EnergyFn) -> BoundEnergy:
    """Return the energy itself if it is bound already, else wrap the plain function.

    Raises:
        UserError: it is not a function.
    """
    if isinstance(energy, BoundEnergy):
        return energy
    if not callable(energy):
        raise UserError(f"a {type(energy).__name__} is not a function of actions")
    return FunctionEnergy(energy)


class Energy(Module, ABC):
    """An energy of observation and action, learned, composed or hand-written."""

    def limits(self) -> Box | None:
        """Return the box of actions that the energy was trained on; None if it is valid everywhere."""
        return None

    @abstractmethod
    def bind(self, obs: Obs) -> EnergyFn:
        """Return the energy as a function of actions; what depends on the observation is computed once, here.

        A :class:`BoundEnergy`, or a plain function.
        """


def action_gradient(
    energy: EnergyFn, action: Float[Tensor, "B N A"], *, create_graph: bool = False
) -> Float[Tensor, "B N A"]:
    """Compute ``dE/da`` of any energy; detached, unless ``create_graph`` asks for a function of the parameters."""
    with torch.set_grad_enabled(create_graph):
        return as_bound(energy).action_gradient(action)


def autograd_gradient(function: EnergyFn, points: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Differentiate the sum of ``function`` by its input; with a graph where gradients are enabled."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        if not (create_graph and points.requires_grad):
            points = points.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(points).sum(), points, create_graph=create_graph)
    return gradient
