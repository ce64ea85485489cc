"""Hamiltonian Monte Carlo and its case of one step, with a chain for each candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.reflection import reflect

#: Part of the iterations, at the beginning, in which the step is tuned; after it the chain is exact.
TUNING = 0.5
#: Steps stay within these limits, in the unit cube.
MIN_STEP, MAX_STEP = 1e-5, 1.0
#: Each trajectory's step varies by this part, so that it never equals a period of the energy.
JITTER = 0.2


@dataclass(eq=False, kw_only=True)
class HMC(Sampler):
    """Samples from ``exp(-E)`` within the box (Neal 2011, sections 3 and 5.1), one chain for each candidate.

    A candidate receives a momentum, is moved by ``num_leapfrog`` leapfrog steps with reflection at the bounds, and is
    accepted with probability ``min(1, exp(H - H'))``, independently of the others. The step size is tuned for each
    observation to the target rate of acceptance in the first half of the chain, and then fixed.

    Args:
        num_candidates: independent chains.
        num_iterations: trajectories of each, the first half for tuning.
        num_leapfrog: steps of a trajectory.
        step_size: at first, in the unit cube.
        target_accept: 0.65 is best for long trajectories, 0.574 for single steps.
    """

    num_candidates: int
    num_iterations: int
    num_leapfrog: int
    step_size: float = 0.1
    target_accept: float = 0.65

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_iterations", "num_leapfrog", "step_size")
        if not 0 < self.target_accept < 1:
            raise ValueError(f"target_accept must be in (0, 1), got {self.target_accept}")

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        batch, count, _ = init.shape
        unit = init
        now = score(space, init).energy
        step = torch.full((batch, 1, 1), self.step_size).to(unit)
        for i in range(self.num_iterations):
            momentum = rng.normal(*unit.shape)
            jitter = 1 + JITTER * (2 * rng.uniform(batch, 1, 1) - 1)
            moved, after = self.trajectory(space, unit, momentum, step * jitter)
            then = score(space, moved).energy
            gain = now - then + 0.5 * (momentum.square().sum(-1) - after.square().sum(-1))
            # A trajectory that has diverged is rejected.
            probability = torch.nan_to_num(gain.clamp(max=0.0).exp(), nan=0.0)
            accepted = rng.uniform(batch, count) < probability
            unit = torch.where(accepted.unsqueeze(-1), moved, unit)
            now = torch.where(accepted, then, now)
            if i < TUNING * self.num_iterations:
                surplus = probability.mean(1).view(-1, 1, 1) - self.target_accept
                step = step * torch.exp(surplus * (i + 1) ** -0.5)
                step = step.clamp(MIN_STEP, MAX_STEP)
        return score(space, unit)

    def trajectory(
        self,
        space: UnitSpace,
        unit: Float[Tensor, "B N A"],
        momentum: Float[Tensor, "B N A"],
        step: Float[Tensor, "B 1 1"],
    ) -> tuple[Float[Tensor, "B N A"], Float[Tensor, "B N A"]]:
        """Return positions and momenta after the leapfrog steps, which reversed momenta undo."""
        momentum = momentum - 0.5 * step * space.gradient(unit)
        for i in range(self.num_leapfrog):
            unit, turned = reflect(unit + step * momentum, space)
            momentum = torch.where(turned, -momentum, momentum)
            last = i == self.num_leapfrog - 1
            momentum = momentum - (0.5 if last else 1.0) * step * space.gradient(unit)
        return unit, momentum


class MALA(HMC):
    """The Metropolis-adjusted Langevin algorithm: samples from ``exp(-E)`` (Roberts and Tweedie 1996).

    A step ``a - s g / 2 + sqrt(s) xi`` is accepted with the Metropolis-Hastings probability. That is Hamiltonian Monte
    Carlo with one leapfrog step of length ``sqrt(s)`` (Neal 2011, section 5.2), and so it is computed.

    Args:
        num_candidates: independent chains.
        num_iterations: steps of each, the first half for tuning.
        step: s, at first, in the unit cube squared.
    """

    def __init__(self, *, num_candidates: int, num_iterations: int, step: float = 0.01) -> None:
        self.step = step
        check_positive(self, "step")
        super().__init__(
            num_candidates=num_candidates,
            num_iterations=num_iterations,
            num_leapfrog=1,
            step_size=math.sqrt(step),
            target_accept=0.574,
        )
