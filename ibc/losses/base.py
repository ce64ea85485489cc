"""What a loss is: it turns a policy and a batch into a scalar, and knows nothing of optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import Energy, EnergyFn
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.random import RandomSource
from ibc.spec import Batch, Obs

#: What a loss reports beside its value: detached scalars by name.
Metrics = dict[str, Tensor]


class Loss(Component, ABC):
    """A training objective."""

    @abstractmethod
    def __call__(
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """The scalar to be minimized and what is worth logging.

        Raises:
            UserError: the policy does not offer what the loss needs.
        """

    def density_temperature(self, energy: EnergyFn) -> float | None:
        """T for which ``exp(-E / T)`` is the density of demonstrations at the optimum, if negatives allow it.

        None where energies are no density: only their minima, or their slopes, are trained.
        """
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What a continued run needs of this loss; most remember nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} remembers nothing, and is given {list(state)}")


@runtime_checkable
class HasState(Protocol):
    """A part that remembers something from one gradient step to the next."""

    def state_dict(self) -> dict[str, Tensor]:
        """What it remembers."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state_dict`."""
        ...


def collect_state(parts: Sequence[object]) -> dict[str, Tensor]:
    """The memory of all parts that have one, under their positions."""
    return {
        f"{i}.{name}": value
        for i, part in enumerate(parts)
        if isinstance(part, HasState)
        for name, value in part.state_dict().items()
    }


def restore_state(parts: Sequence[object], state: dict[str, Tensor]) -> None:
    """The inverse of :func:`collect_state`."""
    for i, part in enumerate(parts):
        if isinstance(part, HasState):
            mine = {
                name.partition(".")[2]: value
                for name, value in state.items()
                if name.partition(".")[0] == str(i)
            }
            part.load_state_dict(mine)


@runtime_checkable
class HasEnergy(Protocol):
    """A policy that acts by an energy."""

    energy: Energy

    @property
    def bounds(self) -> ActionBounds:
        """The map to the unit cube, and the search box."""
        ...


@runtime_checkable
class HasPrediction(Protocol):
    """A policy that predicts one action chunk directly."""

    bounds: ActionBounds

    def predict_unit(self, obs: Obs) -> Float[Tensor, "B A"]:
        """The action chunk, in the unit cube."""
        ...


@runtime_checkable
class HasLikelihood(Protocol):
    """A policy with an explicit density."""

    bounds: ActionBounds

    def log_prob_unit(self, obs: Obs, unit_action: Float[Tensor, "B A"]) -> Float[Tensor, " B"]:
        """Log density of action chunks, in the unit cube."""
        ...


def mismatch(loss: Loss, policy: object, need: str) -> UserError:
    """The error for a loss that meets a policy it cannot train."""
    return UserError(
        f"{type(loss).__name__} trains policies that have {need}; {type(policy).__name__} has not"
    )
