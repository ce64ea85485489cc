"""What an energy is: a function of observation and action that is low where the action is good."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.types import Obs


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
        """``dE/da`` in environment units, detached."""
        ...


class Energy(nn.Module, ABC):
    """Learned, composed and hand-written energies alike."""

    @abstractmethod
    def bind(self, obs: Obs) -> EnergyFn:
        """The energy as a function of actions, with everything that depends on the observation computed once."""


def action_gradient(energy: EnergyFn, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
    """``dE/da`` of any energy, detached: its own routine where it has one, automatic differentiation otherwise."""
    if isinstance(energy, HasActionGradient):
        return energy.action_gradient(action)
    with torch.enable_grad():
        action = action.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(action).sum(), action)
    return gradient
