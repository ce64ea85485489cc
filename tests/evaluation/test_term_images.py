"""What a film of a composition shows of its terms."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from known_energies import Gaussian

from ibc.composition import AllOf
from ibc.constraints import KeepOutDisk, StayWithin
from ibc.evaluation.record import record_films
from ibc.evaluation.term_images import GRID, ROWS, SIDE, TITLE, beside, colored, draw, term_maps
from ibc.policies import ComposedPolicy, load_policy
from ibc.policies.implicit import ActionBounds


def maps():
    energy = AllOf(
        Gaussian([0.5, -0.5, 0.0], 0.3),
        StayWithin([-1.0] * 3, [1.0, 0.0, 1.0]),
        weights=[2.0, 1.0],
        names=["learned", "below"],
    )
    fn = energy.bind({"pos": torch.zeros(1, 1, 3)})
    chosen = torch.tensor([[0.4, -0.2, 0.1]])
    return fn, chosen, term_maps(fn, chosen, ActionBounds(3))


def test_maps_are_the_terms_over_the_first_two_dimensions():
    """At the other dimensions of the chosen action; terms add up to the sum."""
    fn, chosen, (whole, learned, below) = maps()
    assert [one.name for one in (whole, learned, below)] == ["sum", "learned", "below"]
    np.testing.assert_allclose(whole.energy, learned.energy + below.energy, rtol=1e-5, atol=1e-5)
    y, x = np.unravel_index(learned.energy.argmin(), (GRID, GRID))
    line = np.linspace(-1, 1, GRID)
    np.testing.assert_allclose((line[x], line[y]), (0.5, -0.5), atol=1 / GRID)
    action = torch.tensor([[[float(line[7]), float(line[30]), 0.1]]])
    np.testing.assert_allclose(whole.energy[30, 7], float(fn(action)), rtol=1e-4)
    np.testing.assert_allclose(whole.chosen, float(fn(chosen.unsqueeze(1))), rtol=1e-5)
    assert (below.energy[line < 0] == 0).all()
    assert (below.energy[line > 0.1] > 0).all()


def test_low_is_dark_and_up_is_up():
    _, _, found = maps()
    below = colored(found[2].energy).astype(int).sum(-1)
    assert below[0].max() < below[-1].min()
    sheet = draw(found, (0.9, 0.9))
    assert sheet.shape == (ROWS * (SIDE + TITLE), 2 * SIDE, 3)
    picture = sheet[SIDE + 2 * TITLE : 2 * SIDE + 2 * TITLE - 4, : SIDE - 4].astype(int).sum(-1)
    assert (
        picture[2, 20] > picture[-3, 20]
    )  # forbidden actions, with large second numbers, are above


def test_beside_keeps_both_whole():
    sheet = draw(maps()[2], (0.0, 0.0))
    frame = np.zeros((50, 100, 3), np.uint8)
    assert beside(frame, sheet).shape == (len(sheet), 2 * len(sheet) + 8 + sheet.shape[1], 3)


@pytest.mark.unchecked
def test_a_disk_to_keep_out_of_is_drawn_in_the_scene():
    policy = load_policy(ROOT / "pretrained/particle_2d.pt")
    careful = ComposedPolicy(policy, AllOf(policy.energy, KeepOutDisk([0.5, 0.5], 0.2)))
    env = {"id": "Particle-v0", "horizon": 1, "success_when": "last"}
    shown, hidden = (record_films(p, env, seeds=[0])[0].frames[0] for p in (careful, policy))
    assert (shown[170, 170] < 220).all()
    assert (hidden[170, 170] == 255).all()
