"""What a policy is: it acts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from ibc.checkpoint import Checkpoint, save_checkpoint
from ibc.component import Component, describe
from ibc.errors import UserError
from ibc.nn import ActionBounds, ObsEncoder
from ibc.random import RandomSource
from ibc.spec import Batch, Obs, Spec


@runtime_checkable
class Statistics(Protocol):
    """What a policy may learn of a data set before any gradient."""

    def observations(self) -> Obs:
        """Every vector, ``{name: (M, *shape)}``, and some of the pictures."""
        ...

    def actions(self) -> Float[Tensor, "M A"]:
        """Every action chunk, flat."""
        ...

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The windows of those action chunks, with them."""
        ...


class Policy(Component, nn.Module, ABC):
    """Maps observations to actions, both in environment units."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def fit(self, dataset: Statistics) -> None:
        """One pass over the data before any gradient: normalizers and bounds."""

    @abstractmethod
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """Flat action chunks for a batch of observation windows."""

    def act(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B Ta D"]:
        """Action chunks for a batch of observation windows; items do not influence one another."""
        flat = self.act_flat(obs, rng)
        return flat.view(len(flat), self.spec.action_horizon, self.spec.action_dim)

    def save(self, path: str | Path) -> None:
        """Write a file that :func:`ibc.load_policy` reads, whole or not at all.

        Raises:
            UserError: it cannot be written, a part of the policy cannot be described, or it is made of other policies,
                which are saved each.
        """
        if any(isinstance(part, Policy) for part in self.children()):
            raise UserError(
                f"a {type(self).__name__} is not saved: save the policies that it is made of, and make it again"
            )
        save_checkpoint(
            Path(path),
            Checkpoint(policy=describe(self), spec=self.spec, weights=self.state_dict()),
        )

    def report(self) -> dict[str, Float[Tensor, " B"]]:
        """What there is to say about the last decisions of :meth:`act`; nothing by default."""
        return {}


def fit_statistics(
    spec: Spec, dataset: Statistics, encoder: ObsEncoder, bounds: ActionBounds
) -> None:
    """Set the two maps between environment units and network units from demonstrations."""
    encoder.fit(dataset.observations())
    actions = dataset.actions()
    bounds.fit(actions, *chunk_limits(spec, actions))


def chunk_limits(spec: Spec, like: Tensor) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """The lowest and the highest chunk of actions, in environment units."""
    low, high = like.new_tensor(spec.action_low), like.new_tensor(spec.action_high)
    return low.repeat(spec.action_horizon), high.repeat(spec.action_horizon)
