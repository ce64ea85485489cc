"""Follow a noise-conditioned energy from noise to an action without adding noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score

#: Exponent of the schedule (Karras et al. 2022, table 1): most steps are small.
RHO = 7.0


@dataclass(eq=False, kw_only=True)
class ProbabilityFlow(Sampler):
    """Euler steps of the probability-flow differential equation (Song et al. 2021; Karras et al. 2022, algorithm 1).

    ``dU/dx`` of a noise-conditioned energy is the displacement from the denoised action, and a step from level s to t
    goes ``1 - t / s`` of the way along it; the last one goes all the way. It needs few steps: each one removes a part
    of the noise, where a descent of one energy has to find its way.

    Args:
        num_candidates: independent chains; the one of lowest energy at the smallest level is chosen.
        num_steps: evaluations of the gradient in each.
        init_scale: of the noise from which chains start, in units of the largest level; 0 starts all at zero.
        plan_std: noise level, in the unit cube, from which a plan is changed (Meng et al. 2022): a chunk that goes on
            with the motion under way. Small levels keep its mode, large ones forget it.
    """

    num_candidates: int = 1
    num_steps: int = 10
    init_scale: float = 1.0
    plan_std: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_steps", "plan_std")

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        """See :class:`Sampler`; the values of ``init`` are not used, since all is noise at the largest level.

        Where the space has a plan, chains start from the plan and noise of the level ``plan_std``.

        Raises:
            UserError: the energy has no noise levels.
        """
        if not space.sigmas:
            raise UserError(
                "ProbabilityFlow needs one energy with noise levels (policy=implicit_preconditioned), no composition: "
                "choose another search, such as sampler=gradient_descent"
            )
        # Filled on the device: a copy from the host could not be part of a recorded search.
        levels = self._levels(space, init.new_zeros(len(init), 1, dtype=torch.float64))
        unit = self.init_scale * levels[0].unsqueeze(1).to(init) * rng.normal(*init.shape)
        if space.plan is not None:
            unit = unit + space.plan.nan_to_num()
        each = space.at_each(levels.to(init))
        for at_level, now, then in zip(each, levels, [*levels[1:], 0 * levels[0]], strict=True):
            part = (1 - then / now).unsqueeze(1).to(init)
            unit = unit - part * at_level.gradient(unit)
        smallest = (
            each[-1] if self.num_steps > 1 else space
        )  # which is at the smallest level by itself
        return score(smallest, space.clamp(unit))

    def _levels(self, space: UnitSpace, zero: Float[Tensor, "B 1"]) -> Float[Tensor, "L B 1"]:
        low, high = space.sigmas[-1], space.sigmas[0]
        levels = torch.stack([zero + x for x in karras_levels(high, low, self.num_steps)])
        if space.plan is None:
            return levels
        start = min(max(self.plan_std, low), high)
        planned = torch.isfinite(space.plan).all(-1)
        short = torch.stack([zero + x for x in karras_levels(start, low, self.num_steps)])
        return torch.where(planned, short, levels)


def karras_levels(high: float, low: float, count: int) -> list[float]:
    """Return ``count`` noise levels from ``high`` to ``low``, equally spaced in their seventh root."""
    if count == 1:
        return [high]
    start, end = high ** (1 / RHO), low ** (1 / RHO)
    return [(start + i / (count - 1) * (end - start)) ** RHO for i in range(count)]
