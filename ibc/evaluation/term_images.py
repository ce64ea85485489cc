"""What each term of a composition says of every action, as pictures for a film."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ibc.composition import BoundComposition
from ibc.energies import EnergyFn
from ibc.evaluation.video import Frame
from ibc.nn import ActionBounds
from ibc.policies import ComposedPolicy, Policy
from ibc.policies.base import Statistics
from ibc.random import RandomSource
from ibc.spec import Obs

#: Points along each side of a map, and its side and the height of its title in pixels.
GRID, SIDE, TITLE = 41, 170, 22
#: Rows of maps beside the picture of the environment.
ROWS = 2
#: The part of energies that colors tell apart; what is above all looks the same.
SHOWN = 0.95


@dataclass(frozen=True)
class Map:
    """Energies (GRID, GRID) over the first two dimensions of the action, and that of the chosen action.

    The first index is along the second dimension; the other dimensions are those of the chosen action.
    """

    name: str
    energy: NDArray[np.float64]
    chosen: float


class Watched(Policy):
    """A composed policy whose decisions are drawn: ``pictures`` has one a decision."""

    def __init__(self, policy: ComposedPolicy) -> None:
        super().__init__(policy.spec)
        self.policy = policy
        self.pictures: list[Frame] = []

    def fit(self, dataset: Statistics) -> None:
        """Raises UserError, as :class:`ComposedPolicy` does."""
        self.policy.fit(dataset)

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`; of several observations the first is drawn."""
        action = self.policy.act_flat(obs, rng)
        fn = self.policy.energy.bind({name: value[:1] for name, value in obs.items()})
        maps = term_maps(fn, action[:1], self.policy.bounds)
        where = self.policy.bounds.to_unit(action[0]).cpu().numpy()
        self.pictures.append(draw(maps, (where[0], where[min(1, len(where) - 1)])))
        return action

    def report(self) -> dict[str, Float[Tensor, " B"]]:
        """That of the policy."""
        return self.policy.report()


def term_maps(fn: EnergyFn, chosen: Float[Tensor, "1 A"], bounds: ActionBounds) -> list[Map]:
    """The sum, then every term as it enters it, over the cube of ``bounds``."""
    second = min(1, chosen.shape[1] - 1)
    line = torch.linspace(-1, 1, GRID).to(chosen)
    unit = bounds.to_unit(chosen).repeat(GRID * GRID + 1, 1)
    unit[:-1, second] = line.repeat_interleave(GRID)
    unit[:-1, 0] = line.repeat(GRID)
    candidates = bounds.from_unit(unit).unsqueeze(0)
    energies = {"sum": fn(candidates)}
    if isinstance(fn, BoundComposition):
        energies |= fn.terms(candidates)
    maps = []
    for name, energy in energies.items():
        values = energy[0].double().cpu().numpy()
        maps.append(Map(name, values[:-1].reshape(GRID, GRID), float(values[-1])))
    return maps


def draw(maps: list[Map], chosen: tuple[float, float]) -> Frame:
    """Maps in two rows, dark where the energy is low, each with its name and the energy of the chosen action (cross).

    ``chosen`` is in the unit cube.
    """
    columns = -(-len(maps) // ROWS)
    sheet = np.full((ROWS * (SIDE + TITLE), columns * SIDE, 3), 255, np.uint8)
    for k, one in enumerate(maps):
        row, column = divmod(k, columns)
        top, left = row * (SIDE + TITLE), column * SIDE
        x, y = (int(np.clip((1 + c) / 2, 0, 1) * (SIDE - 1)) for c in chosen)
        picture = cv2.resize(colored(one.energy)[::-1], (SIDE - 4, SIDE - 4))
        cv2.drawMarker(picture, (x, SIDE - 5 - y), (255, 255, 255), cv2.MARKER_CROSS, 10, 1)
        sheet[top + TITLE : top + TITLE + SIDE - 4, left : left + SIDE - 4] = picture
        text = f"{one.name}  {one.chosen:.3g}"
        size = min(0.4, 0.4 * (SIDE - 8) / cv2.getTextSize(text, 0, 0.4, 1)[0][0])
        place = (left + 2, top + TITLE - 7)
        cv2.putText(sheet, text, place, 0, size, (40, 40, 40), 1, cv2.LINE_AA)
    return sheet


def colored(energy: NDArray[np.float64]) -> Frame:
    """Colors of the square root of the energy above its least: what is far from good takes no colors away."""
    above = energy - energy.min()
    most = max(float(np.quantile(above, SHOWN)), 1e-9)
    level = np.sqrt(np.clip(above / most, 0, 1))
    shades = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    picture: Frame = np.ascontiguousarray(shades[..., ::-1])
    return picture


def beside(frame: Frame, maps: Frame) -> Frame:
    """The picture of the environment, as high as the maps, and these to its right."""
    height = len(maps)
    width = round(frame.shape[1] * height / len(frame))
    large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    gap = np.full((height, 8, 3), 255, np.uint8)
    return np.concatenate([large, gap, maps], 1)
