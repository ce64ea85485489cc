"""Pictures of README and docs: which frames an animation shows, and what figures are drawn from results."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT

from benchmarks.composition.particles import iterations_figure
from benchmarks.pages.animation import FPS, FRAMES, HEIGHT, LINE, PANELS, STILL, WIDTH, Panel, shown
from benchmarks.pages.concepts import PICTURES, composition
from benchmarks.pages.wells import Well
from benchmarks.timing.benchmark import timing_figure
from benchmarks.toys.coordinates import coordinate_figure
from ibc.evaluation import style

pytestmark = pytest.mark.unchecked


def numbered(count):
    """Gray frames (48, 60) whose brightness is their number, modulo 256."""
    return [np.full((48, 60, 3), i % 256, np.uint8) for i in range(count)]


@pytest.mark.parametrize(("count", "fps", "speed"), [(30, 10, 1), (200, 10, 4), (720, 120, 1)])
def test_an_episode_is_shown_at_a_whole_multiple_of_real_time_and_then_stands_still(
    count, fps, speed
):
    tiles = shown(numbered(count), fps, Panel("x", "", 0))
    assert len(tiles) == FRAMES
    assert all(tile.shape == (LINE + HEIGHT + 4, WIDTH + 4, 3) for tile in tiles)
    frame = [int(tile[LINE + HEIGHT // 2, WIDTH // 2, 0]) for tile in tiles]
    expected = [min(int(t * speed * fps / FPS), count - 1) % 256 for t in range(FRAMES)]
    assert frame == expected
    assert len(set(frame[-STILL:])) == 1


def test_panels_are_checkpoints_of_the_repository():
    assert len(PANELS) == 6
    for panel in PANELS:
        assert (ROOT / f"pretrained/{panel.checkpoint}.pt").is_file()


def test_an_energy_of_known_density_has_its_minimum_and_width():
    energy = Well((0.2, -0.1), (0.5, 0.25)).bind({})
    actions = torch.tensor([[[0.2, -0.1], [0.7, -0.1], [0.2, 0.15]]])
    torch.testing.assert_close(energy(actions), torch.tensor([[0.0, 0.5, 0.5]]))


def test_the_lowest_action_of_each_composition():
    """Of a sum of two quadratics it is the mean of their minima, weighted by inverse variances."""
    stars = {a.get_title(): a.lines[0].get_xydata()[0] for a in composition().axes if a.get_title()}
    precise = np.array([1 / 0.16, 1 / 0.0625]), np.array([1 / 0.0625, 1 / 0.2025])
    minima = np.array([-0.3, 0.1]), np.array([0.4, -0.1])
    mean = sum(p * m for p, m in zip(precise, minima, strict=True)) / sum(precise)
    assert stars["a"] == pytest.approx(minima[0], abs=0.011)
    assert stars["AllOf(a, b)"] == pytest.approx(mean, abs=0.011)
    assert stars["AllOf(a, Not(b))"][0] < stars["a"][0]


def test_there_is_a_picture_for_each_concept():
    assert {p.stem for p in (ROOT / "docs/concepts").glob("*.md")} == set(PICTURES)


def test_figures_of_results_have_labels_and_no_bars_on_logarithmic_axes():
    def rows(name):
        return json.loads((ROOT / f"results/{name}.json").read_text())["rows"]

    (iterations,) = (row["variants"] for row in rows("compose") if row["case"] == "particle_16d")
    timed = [row for row in rows("benchmark") if row["ratio"]]
    for figure in (
        timing_figure(timed),
        coordinate_figure(rows("coordinate_regression")),
        iterations_figure(iterations),
    ):
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert not any(axes.patches for axes in figure.axes if axes.get_xscale() == "log")
    plain = timing_figure(timed).axes[0].lines[0].get_xdata()
    assert list(plain) == [row["plain_ms"] for row in timed]


def test_colors_differ_under_simulated_deuteranopia():
    """Under simulated deuteranopia (Vienot, Brettel and Mollon 1999) no two of the palette are alike."""
    row = [0.29275, 0.70725, 0.0]
    to_rgb = np.array([row, row, [-0.02234, 0.02234, 1]])
    names = (style.BLUE, style.VERMILION, style.GREEN, style.ORANGE, style.SKY, style.PURPLE)
    linear = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in names]) ** 2.2
    seen = (linear @ to_rgb.T).clip(0, 1) ** (1 / 2.2)
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1) + 9 * np.eye(len(seen))
    assert distance.min() > 0.1
