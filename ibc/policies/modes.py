"""Modes of an energy with their probabilities, and a score for out-of-distribution observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import Box, EnergyFn, UnitSpace, as_bound
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.samplers import Candidates, find_modes

#: Actions, spread evenly over the box, by which probabilities are estimated; as for the calibration of compositions,
#: enough for modes of a twentieth of the box in two dimensions, and a rough guide in many.
NUM_SPREAD = 4096
#: The most modes of one observation.
MAX_MODES = 32
#: Perturbations at which the gradient is evaluated, and their length in the unit cube.
NUM_PERTURBATIONS, PERTURBATION = 64, 0.2


@dataclass(frozen=True)
class ActionModes:
    """Modes of one observation, best first.

    Attributes:
        action: (M, A), environment units.
        energy: (M,).
        mass: (M,), the probability by ``exp(-energy / temperature)`` of the actions nearest to each.
    """

    action: Float[Tensor, "M A"]
    energy: Float[Tensor, " M"]
    mass: Float[Tensor, " M"]


@torch.no_grad()
def action_modes(
    energy: EnergyFn,
    found: Candidates,
    box: Box,
    *,
    separation: float = 0.2,
    temperature: float = 1.0,
) -> list[ActionModes]:
    """Return the modes among the candidates that a search has ended with, for each observation.

    Args:
        energy: bound to the observations.
        found: candidates of its search, environment units.
        box: on which probabilities are computed.
        separation: modes are farther than this apart in some dimension, in half-ranges of the box.
        temperature: of the energy.

    Raises:
        UserError: separation or temperature is not positive.
    """
    if not (separation > 0 and temperature > 0):
        raise UserError(
            f"separation={separation}, temperature={temperature}; both must be positive"
        )
    batch, device = len(found.action), found.action.device
    spread = box.spread(NUM_SPREAD).to(device).expand(batch, -1, -1)
    share = torch.softmax(-as_bound(energy)(spread) / temperature, 1)
    half = box.half_range.to(found.action)
    modes = find_modes(found, half, count=MAX_MODES, radius=separation)
    modes_of_each = []
    for b in range(batch):
        own = modes.found[b]
        action = modes.action[b, own]
        nearest = torch.cdist(spread[b] / half, action / half).argmin(1)
        mass = torch.zeros(len(action), device=device).index_add_(0, nearest, share[b])
        modes_of_each.append(ActionModes(action, modes.energy[b, own], mass))
    return modes_of_each


@torch.no_grad()
def ood_score(energy: EnergyFn, found: Candidates, bounds: ActionBounds) -> Float[Tensor, " B"]:
    """Compute how far the energy around its best action is from the one that was trained: high far from the data.

    The energy itself is no score: it is known up to a constant that differs between observations, and it extrapolates
    into ever deeper minima. But :class:`ibc.losses.DenoisingScoreMatching` makes the gradient at a perturbed action
    equal to the perturbation, wherever there are data. The score is the mean squared error of that, relative to the
    perturbation. Thresholds come from observations of the data.

    Args:
        energy: bound to the observations; trained by denoising, alone or among others.
        found: candidates of its search, environment units.
        bounds: the unit cube in which the perturbations are.
    """
    size = found.action.shape[-1]
    spread = Box(-torch.ones(size), torch.ones(size)).spread(NUM_PERTURBATIONS).to(found.action)
    shift = PERTURBATION * spread / spread.norm(dim=-1, keepdim=True)
    perturbed = bounds.to_unit(found.best()).unsqueeze(1) + shift
    error: Tensor = (UnitSpace(energy, bounds).gradient(perturbed) - shift).square().sum(-1).mean(
        1
    ) / PERTURBATION**2
    return error
