"""Derivative-free search in one action dimension after another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, HasPrefix
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.dfo import resample

#: So many of the last set are scored by the whole energy, and returned.
FINALISTS = 4


class AutoregressiveDFO(Sampler):
    """The IBC paper's algorithm 2: dimension j is judged by ``E_j(o, a_1..a_j)`` while later ones are still open.

    Each candidate's beginning survives in proportion to ``exp(-E_j)``, so the set is a particle filter over dimensions
    and its size need not grow with their number. Candidates are shaken one dimension at a time, by less in each round.
    With an energy that has no prefix energies, the whole energy judges every dimension (coordinate-wise search).

    It is an optimizer: the last set is not distributed as ``exp(-E)``. As in the paper, survival knows nothing of the
    ``Z_j`` of a beginning (see :class:`AutoregressiveEnergy`), which only the last ``FINALISTS`` are judged by.

    Args:
        num_candidates: all along.
        num_iterations: rounds over all dimensions.
        noise_std: of the shake in the second round, in the unit cube; the first judges the candidates as they are.
        shrink: factor on that deviation after each round.
        temperature: of the softmax by which candidates survive.
    """

    def __init__(
        self,
        *,
        num_candidates: int,
        num_iterations: int,
        noise_std: float,
        shrink: float,
        temperature: float = 1.0,
    ) -> None:
        self.num_candidates = num_candidates
        self.num_iterations = num_iterations
        self.noise_std = noise_std
        self.shrink = shrink
        self.temperature = temperature

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`; ends with ``FINALISTS`` candidates, each with its whole energy."""
        batch, count, size = init.shape
        unit = bounds.to_unit(init)
        at = torch.arange(size, device=unit.device).view(-1, 1)
        std = 0.0
        for i in range(self.num_iterations):
            total = unit.new_zeros(batch, count)
            for j in range(size):
                if i > 0:
                    column = unit[..., j] + std * rng.normal(batch, count)
                    unit = bounds.clamp_unit(unit.index_copy(2, at[j], column.unsqueeze(-1)))
                value = prefix_energy(energy, bounds.from_unit(unit), j)
                total = total + value if isinstance(energy, HasPrefix) else value
                last = i == self.num_iterations - 1 and j == size - 1
                if not last:  # the last set is scored and not drawn from once more
                    index = resample(value, rng.uniform(batch, count), self.temperature)
                    beginning = index.unsqueeze(-1).expand(-1, -1, j + 1)
                    unit = torch.cat([unit.gather(1, beginning), unit[..., j + 1 :]], -1)
                    total = total.gather(1, index)
            std = self.noise_std if i == 0 else std * self.shrink
        finalists = Candidates(bounds.from_unit(unit), total).lowest(FINALISTS)
        return score(energy, finalists.action)


@torch.no_grad()
def prefix_energy(energy: EnergyFn, action: Float[Tensor, "B N A"], j: int) -> Float[Tensor, "B N"]:
    """``E_j`` of each candidate; the whole energy where there is no other."""
    return energy.prefix(action, j) if isinstance(energy, HasPrefix) else energy(action)
