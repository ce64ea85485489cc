"""The search that suits an energy, where none is chosen."""

from __future__ import annotations

from ibc import energies, samplers
from ibc.energies import Energy
from ibc.samplers import GradientDescent, Sampler


def default_sampler(energy: Energy) -> Sampler:
    """The search of the recipe for such an energy (``configs/policy/``)."""
    if isinstance(energy, energies.AutoregressiveEnergy):
        return samplers.AutoregressiveDFO(
            num_candidates=256, num_iterations=4, noise_std=0.1, shrink=0.3, temperature=0.1
        )
    if isinstance(energy, energies.NoiseConditionedEnergy):
        return samplers.AnnealedLangevin(num_candidates=8, steps_per_level=3)
    if isinstance(energy, energies.PreconditionedEnergy):
        return samplers.ProbabilityFlow()
    if isinstance(energy, energies.SequenceEnergy):
        return samplers.AcceleratedDescent()
    if isinstance(energy, energies.MLPEnergy) and energy.head_kind == "reconstruction":
        return GradientDescent(num_candidates=8, num_iterations=15, step_init=2.0, step_final=2.0)
    return GradientDescent(
        num_candidates=16, num_iterations=40, step_init=1.5, step_final=1e-3, delta_clip=0.5
    )
