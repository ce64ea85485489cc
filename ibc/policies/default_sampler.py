"""The search that suits an energy, where none is chosen."""

from __future__ import annotations

from ibc.energies import (
    AutoregressiveEnergy,
    Energy,
    MLPEnergy,
    NoiseConditionedEnergy,
    PreconditionedEnergy,
    SequenceEnergy,
)
from ibc.samplers import (
    AcceleratedDescent,
    AnnealedLangevin,
    AutoregressiveDFO,
    GradientDescent,
    ProbabilityFlow,
    Sampler,
)


def default_sampler(energy: Energy) -> Sampler:
    """The search of the recipe for such an energy (``configs/policy/``)."""
    if isinstance(energy, AutoregressiveEnergy):
        return AutoregressiveDFO(
            num_candidates=256, num_iterations=4, noise_std=0.1, shrink=0.3, temperature=0.1
        )
    if isinstance(energy, NoiseConditionedEnergy):
        return AnnealedLangevin(num_candidates=8, steps_per_level=3)
    if isinstance(energy, PreconditionedEnergy):
        return ProbabilityFlow()
    if isinstance(energy, SequenceEnergy):
        return AcceleratedDescent()
    if isinstance(energy, MLPEnergy) and energy.head_kind == "reconstruction":
        return GradientDescent(num_candidates=4, num_iterations=15, step_init=2.0, step_final=2.0)
    return GradientDescent(
        num_candidates=16, num_iterations=40, step_init=1.5, step_final=1e-3, delta_clip=0.5
    )
