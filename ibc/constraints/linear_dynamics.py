"""A forward model that is fitted to data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.dynamics import ForwardModel, latest, roll_out
from ibc.constraints.motion import Prediction
from ibc.errors import UserError
from ibc.spec import Obs


@dataclass(eq=False)
class LinearDynamics(ForwardModel):
    """``x' = A x + B a + c``, the least-squares fit of one step of the state ``x``, which consists of observations.

    It is rolled out over a chunk of actions, and the last one is held to the end of ``lookahead``. It is exact where
    the motion is linear. Two that were fitted separately are taken to differ.

    Args:
        position: the observation that constraints refer to, environment units.
        others: further observations that the motion depends on, such as the velocity.
        step: (S, S + A + 1), columns for state, action and the constant; from :meth:`fit`.
        dt: seconds from one action to the next.
        lookahead: periods of one action, at least 1, that are predicted from the last action of the chunk on.
        error: root mean square of the position's residuals in one step, environment units.
    """

    position: str
    others: Sequence[str]
    step: Float[Tensor, "S SA1"]
    _: KW_ONLY
    dt: float
    lookahead: int
    error: float

    def __post_init__(self) -> None:
        if self.lookahead < 1 or not self.dt > 0:
            raise UserError(
                f"LinearDynamics: lookahead={self.lookahead}, dt={self.dt}; allowed: at least 1, above zero"
            )

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
            UserError: fewer transitions than parameters for each part of the state, or numbers that are not finite.
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
        if not (inputs.isfinite().all() and following.isfinite().all()):
            raise UserError("LinearDynamics: the transitions have numbers that are not finite")
        # What is not excited by the data has no influence: the solution of least norm.
        solution = torch.linalg.lstsq(inputs, following, driver="gelsd").solution
        size = before[position].flatten(1).shape[1]
        residual = (inputs @ solution - following)[:, :size]
        error = float(residual.square().sum(1).mean().sqrt())
        return cls(position, others, solution.T, dt=dt, lookahead=lookahead, error=error)

    def action_size(self, size: int) -> int:
        """Return the numbers of the actions it was fitted to."""
        return self.step.shape[1] - len(self.step) - 1

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Roll the step out.

        Raises:
            UserError: the observations are not those it was fitted to.
        """
        state = torch.cat([latest(obs, n) for n in (self.position, *self.others)], 1).double()
        width = len(self.step)
        if state.shape[1] != width:
            raise UserError(
                f"LinearDynamics was fitted to states of size {width}, not {state.shape[1]}"
            )
        # The state with a one appended, which the constant multiplies.
        step = F.pad(self.step.to(state.device), (0, 0, 0, 1))
        step[-1, -1] = 1.0
        free = torch.cat([step[:, :width], step[:, -1:]], 1)
        powers, gains = roll_out(free, step[:, width:-1], chunk, self.lookahead)
        offset = F.pad(state, (0, 1), value=1.0) @ powers[:, :size].mT
        matrix = gains[:, :size].permute(2, 1, 0).flatten(1)
        return Prediction(offset.transpose(0, 1), matrix, size).to(latest(obs, self.position))
