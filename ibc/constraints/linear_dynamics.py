"""A forward model that is fitted to data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.dynamics import ForwardModel, Prediction, latest
from ibc.errors import UserError
from ibc.spec import Obs


class LinearDynamics(ForwardModel):
    """``x' = A x + B a + c``, the least-squares fit of one step of the state ``x``, which consists of observations.

    It is rolled out over a chunk of actions, and the last one is held to the end of ``lookahead``. It is exact where
    the motion is linear.

    Args:
        position: the observation that constraints refer to, environment units.
        others: further observations that the motion depends on, such as the velocity.
        step: (S, S + A + 1), columns for state, action and the constant; from :meth:`fit`.
        dt: seconds from one action to the next.
        lookahead: periods of one action, at least 1, that are predicted from the last action of the chunk on.
        error: root mean square of the position's residuals in one step, environment units.
    """

    position: str

    def __init__(
        self,
        position: str,
        others: Sequence[str],
        step: Float[Tensor, "S SA1"],
        *,
        dt: float,
        lookahead: int,
        error: float,
    ) -> None:
        if lookahead < 1 or not dt > 0:
            raise UserError(
                f"LinearDynamics: lookahead={lookahead}, dt={dt}; allowed: at least 1, above zero"
            )
        self.position = position
        self.names = [position, *others]
        self.step = step
        self.dt = dt
        self.lookahead = lookahead
        self.error = error

    @classmethod
    def fit(
        cls,
        position: str,
        others: Sequence[str],
        *,
        before: Obs,
        action: Float[Tensor, "M A"],
        after: Obs,
        dt: float,
        lookahead: int,
    ) -> LinearDynamics:
        """Fit M transitions by least squares; observations are ``{name: (M, D)}``.

        Raises:
            UserError: fewer transitions than parameters for each part of the state.
        """
        names = [position, *others]
        state, following = (
            torch.cat([obs[name].flatten(1) for name in names], 1).double()
            for obs in (before, after)
        )
        inputs = torch.cat([state, action.double(), torch.ones(len(state), 1).double()], 1)
        if len(inputs) < inputs.shape[1]:
            raise UserError(
                f"LinearDynamics: {len(inputs)} transitions; at least {inputs.shape[1]} are needed"
            )
        # What is not excited by the data has no influence: the solution of least norm.
        solution = torch.linalg.lstsq(inputs, following, driver="gelsd").solution
        size = before[position].flatten(1).shape[1]
        residual = (inputs @ solution - following)[:, :size]
        error = float(residual.square().sum(1).mean().sqrt())
        return cls(position, others, solution.T, dt=dt, lookahead=lookahead, error=error)

    def is_same(self, other: ForwardModel) -> bool:
        """See :class:`ForwardModel`; two that were fitted separately are taken to differ."""
        return self is other

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Roll the step out.

        Raises:
            UserError: the observations or actions are not those it was fitted to.
        """
        state = torch.cat([latest(obs, name) for name in self.names], 1).double()
        width, actions = len(self.step), self.step.shape[1] - len(self.step) - 1
        if state.shape[1] != width or chunk * size % actions:
            raise UserError(
                f"LinearDynamics was fitted to states of size {width} and actions of size {actions}, "
                f"not {state.shape[1]} and {chunk * size}"
            )
        step = self.step.to(state.device)
        free, gain, constant = step[:, :width], step[:, width:-1], step[:, -1]
        effect = state.new_zeros(width, chunk * size)
        last = chunk * size // actions - 1
        offsets, effects = [], []
        for k in range(last + self.lookahead):
            state, effect = state @ free.T + constant, free @ effect
            now = min(k, last) * actions
            effect[:, now : now + actions] += gain
            offsets.append(state[:, :size])
            effects.append(effect[:size])
        position = latest(obs, self.position)
        matrix = torch.stack(effects, -1).permute(1, 0, 2).flatten(1).to(position)
        return Prediction(torch.stack(offsets, 1).to(position), matrix, size)
