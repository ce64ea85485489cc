"""The loss that suits a policy, where none is chosen: the recipes of ``configs/policy/``."""

from __future__ import annotations

from ibc.energies import (
    AutoregressiveEnergy,
    Energy,
    MLPEnergy,
    NoiseConditionedEnergy,
    PreconditionedEnergy,
    SequenceEnergy,
)
from ibc.errors import UserError
from ibc.losses import (
    ELBO,
    MSE,
    Combined,
    DenoisingScoreMatching,
    EDMDenoising,
    EDMScoreMatching,
    EquilibriumMatching,
    FlowMatching,
    ImplicitMaximumLikelihood,
    InfoNCE,
    Loss,
    NegativeLogLikelihood,
    NeighborNegatives,
    NeighborRegression,
    NoiseConditionedScoreMatching,
    NoisePrediction,
    PrefixInfoNCE,
    RankingNCE,
    SampledNegatives,
    TwoStepRegression,
    UniformNegatives,
)
from ibc.policies import (
    CategoricalPolicy,
    CVAEPolicy,
    DiffusionPolicy,
    EDMPolicy,
    FlowMatchingPolicy,
    ImplicitPolicy,
    MDNPolicy,
    MSEPolicy,
    NearestNeighborPolicy,
    OneStepPolicy,
    Policy,
    TwoStepPolicy,
)
from ibc.samplers import GradientDescent

#: The losses of explicit policies.
_EXPLICIT: dict[type[Policy], type[Loss]] = {
    MSEPolicy: MSE,
    MDNPolicy: NegativeLogLikelihood,
    CategoricalPolicy: NegativeLogLikelihood,
    CVAEPolicy: ELBO,
    DiffusionPolicy: NoisePrediction,
    EDMPolicy: EDMDenoising,
    FlowMatchingPolicy: FlowMatching,
    TwoStepPolicy: TwoStepRegression,
    OneStepPolicy: ImplicitMaximumLikelihood,
    NearestNeighborPolicy: NeighborRegression,
}


def default_loss(policy: Policy) -> Loss:
    """Return the loss of the recipe for such a policy.

    Raises:
        UserError: there is none for this class; give one to the trainer.
    """
    if isinstance(policy, ImplicitPolicy):
        return _energy_loss(policy.energy)
    for kind, loss in _EXPLICIT.items():
        if isinstance(policy, kind):
            return loss()
    raise UserError(f"there is no default loss for a {type(policy).__name__}; give loss=...")


def _energy_loss(energy: Energy) -> Loss:
    if isinstance(energy, AutoregressiveEnergy):
        near = NeighborNegatives(num=4, min_std=0.003, max_std=1.0)
        return PrefixInfoNCE(negatives=[UniformNegatives(num=4), near])
    if isinstance(energy, NoiseConditionedEnergy):
        return NoiseConditionedScoreMatching()
    if isinstance(energy, PreconditionedEnergy):
        return EDMScoreMatching()
    if isinstance(energy, SequenceEnergy):
        return EquilibriumMatching()
    if isinstance(energy, MLPEnergy):
        return _mlp_loss(energy)
    raise UserError(f"there is no default loss for a {type(energy).__name__}; give loss=...")


def _mlp_loss(energy: MLPEnergy) -> Loss:
    if energy.density is not None:
        return RankingNCE(num=32)
    if energy.has_proposal:
        wide = DenoisingScoreMatching(min_std=0.5, max_std=1.5)
        return Combined([wide, MSE()], fractions=[1.0, 1.0], weights=[0.01, 1.0])
    if energy.head_kind == "reconstruction":
        return DenoisingScoreMatching(min_std=1.0, max_std=2.0)
    descent = GradientDescent(
        num_candidates=4, num_iterations=8, step_init=1.5, step_final=0.5, delta_clip=0.5
    )
    ranking = InfoNCE(negatives=[SampledNegatives(num=4, sampler=descent)], temperature=0.1)
    return Combined([DenoisingScoreMatching(), ranking], fractions=[1.0, 0.25])
