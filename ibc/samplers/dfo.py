"""Derivative-free optimization: resample good candidates and perturb them, repeatedly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score

#: Candidates of the last set that are scored by the exact energy after a search in low precision, and returned.
FINALISTS = 1024


def resample(
    energy: Float[Tensor, "B N"], uniform: Float[Tensor, "B N"], temperature: float
) -> Int[Tensor, "B N"]:
    """Draw indices with replacement in proportion to ``exp(-energy / temperature)``, by inverting the CDF."""
    logits = -energy / temperature
    cdf = torch.softmax(logits.double(), dim=1).cumsum(1)
    return torch.searchsorted(cdf, uniform.double() * cdf[:, -1:]).clamp_(max=energy.shape[1] - 1)


@dataclass(eq=False, kw_only=True)
class DFO(Sampler):
    """The paper's derivative-free optimizer (algorithm 1), which returns the last set it has scored.

    The official code resamples once more and then indexes the new set by the old probabilities; here a returned action
    always carries its own energy. Reliable to about five action dimensions.

    Args:
        num_candidates: candidates at the start, and all along.
        num_iterations: how often the candidates are scored.
        noise_std: standard deviation of the first perturbation, in the unit cube.
        shrink: factor on that deviation after each perturbation.
        temperature: of the softmax by which candidates survive.
    """

    num_candidates: int
    num_iterations: int
    noise_std: float
    shrink: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_iterations", "temperature")

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        cheap = space.low_precision()
        candidates = score(cheap, init)
        std = self.noise_std
        for _ in range(self.num_iterations - 1):
            uniform = rng.uniform(*candidates.energy.shape)
            survivors = candidates.take(resample(candidates.energy, uniform, self.temperature))
            unit = survivors.action + std * rng.normal(*init.shape)
            candidates = score(cheap, space.clamp(unit))
            std *= self.shrink
        if cheap is space:
            return candidates
        if candidates.energy.shape[1] > FINALISTS:
            candidates = candidates.lowest(FINALISTS)
        return score(space, candidates.action)  # unsorted, as without low precision
