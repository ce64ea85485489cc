"""All the answers of an energy: distinct actions of low energy, their shares, and how sure it is of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import Box, EnergyFn, action_gradient
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.samplers import Candidates, find_modes

#: Actions, spread evenly over the box, by which probabilities are estimated; as for the calibration of compositions,
#: enough for modes of a twentieth of the box in two dimensions, and a rough guide in many.
NUM_SPREAD = 4096
#: The most answers that are told apart.
MOST_ANSWERS = 32
#: Shakes by which an energy is probed, and their length in the unit cube.
NUM_SHAKES, SHAKE = 64, 0.2


@dataclass(frozen=True)
class Answers:
    """Distinct actions of one observation, best first.

    Attributes:
        action: (M, A), environment units.
        energy: (M,).
        mass: (M,), the probability ``exp(-energy / temperature)`` of what is nearer to each than to the others.
    """

    action: Float[Tensor, "M A"]
    energy: Float[Tensor, " M"]
    mass: Float[Tensor, " M"]


@torch.no_grad()
def distinct_answers(
    energy: EnergyFn,
    found: Candidates,
    box: Box,
    *,
    separation: float = 0.2,
    temperature: float = 1.0,
) -> list[Answers]:
    """The distinct actions among the candidates a search has ended with, for each observation.

    Args:
        energy: bound to the observations.
        found: what a search of it ended with.
        box: over which probabilities are taken.
        separation: answers are farther than this apart in some dimension, in half-ranges of the box.
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
    share = torch.softmax(-energy(spread) / temperature, 1)
    half = box.half_range.to(found.action)
    modes = find_modes(found, half, count=MOST_ANSWERS, radius=separation)
    answers = []
    for b in range(batch):
        own = modes.found[b]
        action = modes.action[b, own]
        nearest = torch.cdist(spread[b] / half, action / half).argmin(1)
        mass = torch.zeros(len(action), device=device).index_add_(0, nearest, share[b])
        answers.append(Answers(action, modes.energy[b, own], mass))
    return answers


@torch.no_grad()
def doubt(energy: EnergyFn, found: Candidates, bounds: ActionBounds) -> Float[Tensor, " B"]:
    """How far the energy around its best action is from the bowl it was trained to be: high far from the data.

    Depths say nothing: they are known up to a number that differs between observations, and an energy extrapolates
    into ever deeper minima. But :class:`ibc.losses.DenoisingScoreMatching` makes the gradient at a perturbed action
    equal to the perturbation itself, wherever there are data. The mean squared error of that, relative to the shake,
    is about the same on what was demonstrated and on what is like it. Thresholds come from observations of the data.

    Args:
        energy: bound to the observations; trained by denoising, alone or among others.
        found: what a search of it ended with.
        bounds: the unit cube in which the shakes, of length 0.2, are.
    """
    size = found.action.shape[-1]
    spread = Box(-torch.ones(size), torch.ones(size)).spread(NUM_SHAKES).to(found.action)
    shake = SHAKE * spread / spread.norm(dim=-1, keepdim=True)
    perturbed = bounds.from_unit(bounds.to_unit(found.best()).unsqueeze(1) + shake)
    gradient = action_gradient(energy, perturbed) * bounds.half_range
    error: Tensor = (gradient - shake).square().sum(-1).mean(1) / SHAKE**2
    return error
