"""Forward models that are linear in the action, for constraints on the body and not only on the command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.constraints.motion import Motion, Prediction
from ibc.errors import UserError
from ibc.spec import Obs


class ForwardModel(Component, ABC):
    """Predicts points from observation and action; models that are equal predict the same points.

    Attributes:
        position: the observation that holds the current position, or None.
        dt: seconds from one action to the next.
    """

    position: str | None
    dt: float

    def size(self, obs: Obs) -> int | None:
        """Return D, the dimensions of a point; None where the action decides."""
        return None if self.position is None else latest(obs, self.position).shape[-1]

    def action_size(self, size: int) -> int:
        """Return the numbers of one action for points of ``size`` dimensions: as many."""
        return size

    @abstractmethod
    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the points for chunks of ``chunk`` actions of ``size`` dimensions.

        Point k, counted from one, is reached after ``k * dt`` seconds.
        """

    def motion(self, obs: Obs, chunk: int, size: int) -> Motion:
        """Describe the motion from now on, between the predicted points as well; hard constraints are checked along it.

        By default the body moves in straight lines from where it is to the first point, and on from point to point.
        Where its position is not observed, only the points themselves are known.

        Raises:
            UserError: no such description exists.
        """
        points = self.predict(obs, chunk, size)
        times = torch.arange(1.0 + points.count) * self.dt
        if self.position is None:
            return Motion(points, None, times)
        return Motion(points, latest(obs, self.position), times)

    def brake(self, obs: Obs, chunk: int, size: int) -> Float[Tensor, "B A"]:
        """Return the actions that keep the body as near to its present position as the model allows.

        Raises:
            UserError: the model does not tell how to stop.
        """
        raise UserError(f"fallback=brake: a {type(self).__name__} does not tell how to stop")


@dataclass
class PositionControl(ForwardModel):
    """The action is the point: an absolute position that is reached at once, or the command itself.

    Args:
        position: the observation that holds the current position; needed by limits of speed and acceleration only.
        dt: seconds from one action to the next.
    """

    position: str | None = None
    _: KW_ONLY
    dt: float = 1.0

    def __post_init__(self) -> None:
        check_above_zero(self, "dt")

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Return the actions themselves."""
        device = next(iter(obs.values())).device
        gain = torch.eye(chunk, device=device)
        return Prediction.from_gain(torch.zeros(1, 1, 1, device=device), gain, size)

    def brake(self, obs: Obs, chunk: int, size: int) -> Float[Tensor, "B A"]:
        """Return the present position.

        Raises:
            UserError: it is not observed.
        """
        if self.position is None:
            return super().brake(obs, chunk, size)
        return latest(obs, self.position).repeat(1, chunk)


@dataclass
class DeltaPositionControl(ForwardModel):
    """The action is added to the position: ``p <- p + scale * a``, once for every action of a chunk.

    Args:
        position: the observation that holds the position now.
        scale: units of the position a unit of the action.
        dt: seconds from one action to the next.
    """

    position: str
    _: KW_ONLY
    scale: float = 1.0
    dt: float = 1.0

    def __post_init__(self) -> None:
        check_above_zero(self, "scale", "dt")

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Sum the actions."""
        start = latest(obs, self.position)
        gain = self.scale * torch.ones(chunk, chunk, device=start.device).tril()
        return Prediction.from_gain(start.unsqueeze(1), gain, size)

    def brake(self, obs: Obs, chunk: int, size: int) -> Float[Tensor, "B A"]:
        """Return zeros."""
        return torch.zeros_like(latest(obs, self.position)).repeat(1, chunk)


def roll_out(
    free: Float[Tensor, "S S"], gain: Float[Tensor, "S D"], chunk: int, lookahead: int
) -> tuple[Float[Tensor, "K S S"], Float[Tensor, "K S TD"]]:
    """Compute the gains of the current state and of T actions on the states of ``x' = free x + gain a``.

    The last action is held to the end of ``lookahead``.
    """
    size = gain.shape[1]
    power, effect = torch.eye(len(free)).to(free), free.new_zeros(len(free), chunk * size)
    powers, effects = [], []
    for k in range(chunk - 1 + lookahead):
        power, effect = free @ power, free @ effect
        now = min(k, chunk - 1) * size
        effect[:, now : now + size] += gain
        powers.append(power)
        effects.append(effect)
    return torch.stack(powers), torch.stack(effects)


def latest(obs: Obs, name: str) -> Float[Tensor, "B D"]:
    """Return the last entry of a window of vectors, as floating point numbers.

    Raises:
        UserError: there is no such observation, or it is no vector.
    """
    if name not in obs:
        raise UserError(f"there is no observation '{name}'; there are {', '.join(sorted(obs))}")
    if obs[name].ndim < 3:
        raise UserError(f"observation '{name}' is a single number, not a vector")
    last = obs[name][:, -1].flatten(1)
    return last if last.is_floating_point() else last.float()


def check_above_zero(model: ForwardModel, *keys: str) -> None:
    """Raises UserError: one of these attributes is not a positive number."""
    for key in keys:
        if not 0 < (number := getattr(model, key)) < float("inf"):
            raise UserError(f"{type(model).__name__}: {key}={number}; it must be positive")
