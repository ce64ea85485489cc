"""Hamiltonian Monte Carlo: long moves that keep the density exactly, each candidate accepted by itself."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, action_gradient
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.reflection import reflect

#: Part of the iterations, at the beginning, in which the step is tuned; after it the chain is exact.
TUNING = 0.5
#: Steps stay within these limits, in the unit cube.
MIN_STEP, MAX_STEP = 1e-5, 1.0
#: Each trajectory's step is shaken by this part, so that no period of the energy is ever met exactly.
JITTER = 0.2


class HMC(Sampler):
    """Samples from ``exp(-E)`` within the box (Neal 2011, sections 3 and 5.1), one chain for each candidate.

    A candidate receives a momentum, follows the energy's slope for ``num_leapfrog`` steps, is reflected by the walls,
    and is accepted with probability ``min(1, exp(H - H'))`` by a draw of its own. The step is tuned for each
    observation to the wanted rate of acceptance while the chain warms up, and then left alone.

    Args:
        num_candidates: independent chains.
        num_iterations: trajectories of each, the first half for tuning.
        num_leapfrog: steps of a trajectory.
        step_size: at first, in the unit cube.
        target_accept: 0.65 is best for long trajectories, 0.574 for single steps.
    """

    def __init__(
        self,
        *,
        num_candidates: int,
        num_iterations: int,
        num_leapfrog: int,
        step_size: float = 0.1,
        target_accept: float = 0.65,
    ) -> None:
        if not 0 < target_accept < 1:
            raise ValueError(f"target_accept must be in (0, 1), got {target_accept}")
        self.num_candidates = num_candidates
        self.num_iterations = num_iterations
        self.num_leapfrog = num_leapfrog
        self.step_size = step_size
        self.target_accept = target_accept

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`."""
        batch, count, _ = init.shape
        unit = bounds.to_unit(init)
        now = score(energy, init).energy
        step = torch.full((batch, 1, 1), self.step_size).to(unit)
        for i in range(self.num_iterations):
            momentum = rng.normal(*unit.shape)
            jitter = 1 + JITTER * (2 * rng.uniform(batch, 1, 1) - 1)
            moved, after = self.trajectory(energy, unit, momentum, step * jitter, bounds)
            then = score(energy, bounds.from_unit(moved)).energy
            gain = now - then + 0.5 * (momentum.square().sum(-1) - after.square().sum(-1))
            # A trajectory that has run to infinity is refused.
            probability = torch.nan_to_num(gain.clamp(max=0.0).exp(), nan=0.0)
            accepted = rng.uniform(batch, count) < probability
            unit = torch.where(accepted.unsqueeze(-1), moved, unit)
            now = torch.where(accepted, then, now)
            if i < TUNING * self.num_iterations:
                surplus = probability.mean(1).view(-1, 1, 1) - self.target_accept
                step = step * torch.exp(surplus * (i + 1) ** -0.5)
                step = step.clamp(MIN_STEP, MAX_STEP)
        return score(energy, bounds.from_unit(unit))

    def trajectory(
        self,
        energy: EnergyFn,
        unit: Float[Tensor, "B N A"],
        momentum: Float[Tensor, "B N A"],
        step: Float[Tensor, "B 1 1"],
        bounds: ActionBounds,
    ) -> tuple[Float[Tensor, "B N A"], Float[Tensor, "B N A"]]:
        """Positions in the unit cube and momenta after the leapfrog steps; run backwards by reversing the momenta."""
        momentum = momentum - 0.5 * step * self._slope(energy, unit, bounds)
        for i in range(self.num_leapfrog):
            unit, turned = reflect(unit + step * momentum, bounds)
            momentum = torch.where(turned, -momentum, momentum)
            last = i == self.num_leapfrog - 1
            momentum = momentum - (0.5 if last else 1.0) * step * self._slope(energy, unit, bounds)
        return unit, momentum

    @staticmethod
    def _slope(
        energy: EnergyFn, unit: Float[Tensor, "B N A"], bounds: ActionBounds
    ) -> Float[Tensor, "B N A"]:
        return action_gradient(energy, bounds.from_unit(unit)) * bounds.half_range
