"""The loss that suits a policy, where none is chosen: the recipes of ``configs/policy/``."""

from __future__ import annotations

from ibc import energies, losses, policies
from ibc.energies import Energy, MLPEnergy
from ibc.errors import UserError
from ibc.losses import Combined, DenoisingScoreMatching, Loss
from ibc.policies import Policy
from ibc.samplers import GradientDescent

#: The losses of explicit policies.
_EXPLICIT: dict[type[Policy], type[Loss]] = {
    policies.MSEPolicy: losses.MSE,
    policies.MDNPolicy: losses.NegativeLogLikelihood,
    policies.CategoricalPolicy: losses.NegativeLogLikelihood,
    policies.CVAEPolicy: losses.ELBO,
    policies.DiffusionPolicy: losses.NoisePrediction,
    policies.EDMPolicy: losses.EDMDenoising,
    policies.FlowMatchingPolicy: losses.FlowMatching,
    policies.TwoStepPolicy: losses.TwoStepRegression,
    policies.OneStepPolicy: losses.ImplicitMaximumLikelihood,
    policies.NearestNeighborPolicy: losses.NeighborRegression,
}


def default_loss(policy: Policy) -> Loss:
    """Return the loss of the recipe for such a policy.

    Raises:
        UserError: there is none for this class; give one to the trainer.
    """
    if isinstance(policy, policies.ImplicitPolicy):
        return _energy_loss(policy.energy)
    for kind, loss in _EXPLICIT.items():
        if isinstance(policy, kind):
            return loss()
    raise UserError(f"there is no default loss for a {type(policy).__name__}; give loss=...")


def _energy_loss(energy: Energy) -> Loss:
    if isinstance(energy, energies.AutoregressiveEnergy):
        near = losses.NeighborNegatives(num=4, min_std=0.003, max_std=1.0)
        return losses.PrefixInfoNCE(negatives=[losses.UniformNegatives(num=4), near])
    if isinstance(energy, energies.NoiseConditionedEnergy):
        return losses.NoiseConditionedScoreMatching()
    if isinstance(energy, energies.PreconditionedEnergy):
        return losses.EDMScoreMatching()
    if isinstance(energy, energies.SequenceEnergy):
        return losses.EquilibriumMatching()
    if isinstance(energy, MLPEnergy):
        return _mlp_loss(energy)
    raise UserError(f"there is no default loss for a {type(energy).__name__}; give loss=...")


def _mlp_loss(energy: MLPEnergy) -> Loss:
    if energy.density is not None:
        return losses.RankingNCE(num=32)
    if energy.has_proposal and energy.relative:
        wide = DenoisingScoreMatching(min_std=0.5, max_std=1.5)
        return Combined([wide, losses.MSE()], fractions=[1.0, 1.0], weights=[0.01, 1.0])
    if energy.head_kind == "reconstruction":
        return DenoisingScoreMatching(min_std=0.4, max_std=2.0, reference_size=32)
    descent = GradientDescent(
        num_candidates=4, num_iterations=8, step_init=1.5, step_final=0.5, delta_clip=0.5
    )
    ranking = losses.InfoNCE(
        negatives=[losses.SampledNegatives(num=4, sampler=descent)],
        temperature=0.05,
        per_dimension=True,
    )
    return Combined([DenoisingScoreMatching(), ranking], fractions=[1.0, 0.25])
