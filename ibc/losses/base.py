"""What a loss is: it turns a policy and a batch into a scalar, and knows nothing of optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.spec import Batch

#: What a loss reports beside its value: detached scalars by name.
Metrics = dict[str, Tensor]


class Loss(Component, ABC):
    """A training objective."""

    @abstractmethod
    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """The scalar to be minimized and what is worth logging.

        Raises:
            UserError: the policy does not offer what the loss needs.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """What a continued run needs of this loss; most remember nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} remembers nothing, and is given {list(state)}")


def collect_state(parts: Sequence[Any]) -> dict[str, Tensor]:
    """The memory of all parts that have one, under their positions."""
    return {
        f"{i}.{name}": value
        for i, part in enumerate(parts)
        if hasattr(part, "state_dict")
        for name, value in part.state_dict().items()
    }


def restore_state(parts: Sequence[Any], state: dict[str, Tensor]) -> None:
    """The inverse of :func:`collect_state`."""
    for i, part in enumerate(parts):
        if hasattr(part, "state_dict"):
            mine = {
                name.partition(".")[2]: value
                for name, value in state.items()
                if name.partition(".")[0] == str(i)
            }
            part.load_state_dict(mine)


def required(loss: Loss, owner: object, attribute: str, need: str) -> Any:
    """``owner``, once it is known to have what a loss needs of it.

    Attributes are looked up on the object: a runtime protocol would not see the submodules of an ``nn.Module`` on
    Python 3.12 and later.

    Raises:
        UserError: it has no such attribute, or None.
    """
    if getattr(owner, attribute, None) is None:
        raise mismatch(loss, owner, need)
    return owner


def mismatch(loss: Loss, policy: object, need: str) -> UserError:
    """The error for a loss that meets a policy it cannot train."""
    return UserError(
        f"{type(loss).__name__} trains policies that have {need}; {type(policy).__name__} has not"
    )
