"""What an energy is: a function of observation and action that is low where the action is good."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ibc.component import Component
from ibc.energies.box import Box
from ibc.spec import Obs


@runtime_checkable
class EnergyFn(Protocol):
    """An energy with its observation bound: a plain function of actions in environment units."""

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """The energy of each candidate."""
        ...


@runtime_checkable
class HasActionGradient(Protocol):
    """An :class:`EnergyFn` that knows its gradient without automatic differentiation."""

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """``dE/da`` in environment units; differentiable in the energy's parameters where gradients are enabled."""
        ...


@runtime_checkable
class HasLowPrecision(Protocol):
    """An :class:`EnergyFn` that can be had cheaper and less precise."""

    def low_precision(self) -> EnergyFn:
        """Nearly the same energy, for the part of a search that need not be exact."""
        ...


@runtime_checkable
class HasPrefix(Protocol):
    """An :class:`EnergyFn` that can judge the beginning of an action without the rest."""

    def prefix(self, action: Float[Tensor, "B N A"], j: int, /) -> Float[Tensor, "B N"]:
        """``E_j(o, a_1..a_j)``, j counted from zero; what follows dimension j is not looked at."""
        ...


@runtime_checkable
class HasFeasible(Protocol):
    """An :class:`EnergyFn` that knows which actions are allowed, and not only which are better."""

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Whether each candidate is allowed."""
        ...

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """How much is wrong with each candidate, as an energy: zero where it is feasible."""
        ...


class Energy(Component, nn.Module, ABC):
    """Learned, composed and hand-written energies alike."""

    def limits(self) -> Box | None:
        """The box of actions this energy has learned about; None for one that is valid everywhere."""
        return None

    @abstractmethod
    def bind(self, obs: Obs) -> EnergyFn:
        """The energy as a function of actions, with everything that depends on the observation computed once."""


def action_gradient(
    energy: EnergyFn, action: Float[Tensor, "B N A"], *, create_graph: bool = False
) -> Float[Tensor, "B N A"]:
    """``dE/da`` of any energy: its own routine where it has one, automatic differentiation otherwise.

    Detached, unless ``create_graph`` asks for it as a function of the energy's parameters.
    """
    own = getattr(energy, "action_gradient", None)  # isinstance is slow for protocols
    if own is not None:
        with torch.set_grad_enabled(create_graph):
            gradient: Tensor = own(action)
        return gradient
    with torch.enable_grad():
        action = action.detach().requires_grad_()
        (found,) = torch.autograd.grad(energy(action).sum(), action, create_graph=create_graph)
    return found


def low_precision(energy: EnergyFn) -> EnergyFn:
    """The energy as its search may see it; whatever is found must be ranked by the energy itself."""
    return energy.low_precision() if isinstance(energy, HasLowPrecision) else energy
