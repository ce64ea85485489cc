"""Define a loss: a function of a policy and a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.spec import Batch

#: What a loss reports beside its value: detached scalars by name.
Metrics = dict[str, Tensor]
#: The scalar to be minimized, and metrics to log.
LossAndMetrics = tuple[Float[Tensor, ""], Metrics]


class Stateful(Component):
    """A part of a training objective; its state is that of its own parts, unless overridden."""

    def parts(self) -> Sequence[Stateful]:
        """Return the parts that may have a state; none by default."""
        return []

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that a continued run needs; most losses have none."""
        return {
            f"{i}.{name}": value
            for i, part in enumerate(self.parts())
            for name, value in part.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        if state and not self.parts():
            raise ValueError(f"{type(self).__name__} has no state, and is given {list(state)}")
        for i, part in enumerate(self.parts()):
            own = {n: value for n, value in state.items() if n.startswith(f"{i}.")}
            part.load_state_dict({n.partition(".")[2]: value for n, value in own.items()})


class Loss(Stateful, ABC):
    """A training objective."""

    @abstractmethod
    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        """Compute the scalar to be minimized, and metrics to log.

        Raises:
            UserError: the policy lacks what the loss needs.
        """

    def is_mean(self) -> bool:
        """Return whether the loss is a mean over examples that do not see one another; then a batch may be cut."""
        return True


def required(loss: Loss, owner: object, attribute: str, need: str) -> Any:
    """Return ``owner`` if it has what a loss needs.

    Attributes are looked up on the object: a runtime protocol would not see the submodules of an ``nn.Module`` on
    Python 3.12 and later.

    Raises:
        UserError: it has no such attribute, or None.
    """
    if getattr(owner, attribute, None) is None:
        raise mismatch(loss, owner, need)
    return owner


def bind(loss: Loss, policy: Any, batch: Batch) -> tuple[UnitSpace, Float[Tensor, "B 1 A"]]:
    """Return the policy's energy, bound to the observations of a batch, and the demonstrated actions in the unit cube.

    Raises:
        UserError: the policy has no energy.
    """
    policy = required(loss, policy, "energy", "an energy")
    space = UnitSpace(policy.energy.bind(batch.obs), policy.bounds)
    return space, space.bounds.to_unit(batch.action).unsqueeze(1)


def mismatch(loss: Loss, policy: object, need: str) -> UserError:
    """Make the error for a policy that the loss cannot train."""
    return UserError(
        f"{type(loss).__name__} trains policies that have {need}; {type(policy).__name__} has not"
    )


def check_stds(low: float, high: float) -> None:
    """Check the limits of standard deviations.

    Raises:
        ValueError: they do not increase, or are not positive.
    """
    if not 0 < low <= high:
        raise ValueError(f"needs 0 < min_std <= max_std, got {low} and {high}")
