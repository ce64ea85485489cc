"""The toys: their geometry and their truth, and the command in seconds."""

import json

import matplotlib.path
import numpy as np
import pytest
import torch

from benchmarks.config import compose
from benchmarks.tables.pages import table
from benchmarks.toys import coordinates, function_fits
from benchmarks.toys.bimodal import (
    WEIGHTS,
    compare,
    demonstrations,
    density_temperature,
    divergence,
    log_density,
    mode_means,
)
from benchmarks.toys.figures import figures
from benchmarks.toys.one_step import one_step_spec
from ibc.errors import UserError
from ibc.losses import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    InfoNCE,
    NoiseConditionedScoreMatching,
    PrefixInfoNCE,
    RankingNCE,
    UniformNegatives,
    Unrolled,
)
from ibc.policies import Policy
from ibc.spec import ObsField


class TestCoordinates:
    def test_the_square_is_where_it_is_said_to_be(self):
        positions = np.array([[3, 92], [40, 7]])
        green = coordinates.images(positions)[..., 0] == 0
        for image, (x, y) in zip(green, positions, strict=True):
            rows, columns = np.nonzero(image)
            assert (columns.mean(), rows.mean()) == (x, y)
            assert image.sum() == coordinates.SQUARE**2

    def test_hull(self):
        rng = np.random.default_rng(0)
        known, points = rng.integers(0, 96, (12, 2)), rng.integers(0, 96, (400, 2))
        corners = coordinates.hull(known)
        assert coordinates.in_hull(known, known).all()
        outline = matplotlib.path.Path(corners)
        # A path is undecided about its own edge.
        inner, outer = (outline.contains_points(points, radius=r) for r in (-1e-6, 1e-6))
        found = coordinates.in_hull(points, known)
        assert ((found == inner) | (found == outer)).all()
        assert 20 < found.sum() < 380


class TestRelations:
    x = np.linspace(-1, 1, 101)

    @pytest.mark.parametrize("name", function_fits.RELATIONS)
    def test_what_is_drawn_is_a_value(self, name):
        relation = function_fits.RELATIONS[name]
        y = relation.draw(self.x, np.random.default_rng(0))
        assert relation.distance(self.x, y).max() == 0
        assert np.abs(y).max() <= 1
        assert relation.distance(self.x, y + 0.01).max() < 0.0101

    def test_all_values_are_drawn(self):
        relation = function_fits.RELATIONS["two values"]
        y = relation.draw(np.zeros(1000), np.random.default_rng(0))
        assert 0.45 < (y > 0).mean() < 0.55


class TestBimodal:
    def test_density_integrates_to_one(self):
        grid = torch.linspace(-1.5, 1.5, 6001).double().expand(3, -1)
        obs = torch.tensor([[-1.0], [0.0], [1.0]]).double()
        total = torch.trapezoid(log_density(obs, grid).exp(), grid)
        torch.testing.assert_close(total, torch.ones(3).double(), atol=1e-6, rtol=0)

    def test_demonstrations_follow_it(self):
        obs, action = demonstrations(0)
        first, _ = mode_means(torch.from_numpy(obs))
        share = ((torch.from_numpy(action) - first).abs() < 0.3).float().mean()
        assert share.item() == pytest.approx(WEIGHTS[0], abs=0.03)

    def test_the_expert_is_right_and_balanced(self):
        class Expert(Policy):
            def fit(self, dataset):
                pass

            def act_flat(self, obs, rng):
                first, second = mode_means(obs["state"][:, 0])
                return torch.where(rng.uniform(len(first), 1) < WEIGHTS[0], first, second)

        spec = one_step_spec("state", ObsField((1,), "float32"), [-1.2], [1.2])
        row = compare(Expert(spec), RankingNCE(num=1), 0)
        assert row["right"] == 1
        assert row["balance"] == pytest.approx(0.7, abs=0.07)
        assert row["kl"] is None

    def test_divergence_is_taken_at_the_scale_that_was_trained(self):
        """The exact optimum of each loss is at no distance from the truth; what is no density has none."""
        obs = torch.linspace(-1, 1, 5).view(-1, 1)

        class Leveled:
            sigmas = (1.0, 0.01)

            def at(self, std):
                return self

            def __call__(self, action):
                return -(0.01**2) * log_density(obs, action[..., 0])

        half = lambda action: -0.5 * log_density(obs, action[..., 0])  # noqa: E731
        negatives = [UniformNegatives(4)]
        for loss, energy in (
            (InfoNCE(negatives=negatives, temperature=0.5), half),
            (PrefixInfoNCE(negatives=negatives, temperature=0.5), half),
            (RankingNCE(num=4, temperature=0.5), half),
            (ContrastiveDivergence(negatives=negatives), lambda action: 2 * half(action)),
            (NoiseConditionedScoreMatching(), Leveled()),
        ):
            temperature = density_temperature(loss, energy)
            assert divergence(energy, temperature, obs) == pytest.approx(0, abs=1e-4)
            assert divergence(energy, 2 * temperature, obs) > 0.05
        for loss in (DenoisingScoreMatching(), Unrolled(num=4, num_steps=2, step_size=0.5)):
            assert density_temperature(loss, half) is None


@pytest.mark.slow
def test_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in (coordinates, function_fits):
        monkeypatch.setattr(module, "NUM_TEST", 20)
    steps = ["steps.function_fits=2", "steps.coordinate_regression=2", "counts=[4]"]
    steps += ["results=results", "images=docs"]
    figures(compose("figures", steps))
    for name in ("function_fits", "coordinate_regression"):
        rows = json.loads((tmp_path / f"results/{name}.json").read_text())["rows"]
        assert {row["policy"] for row in rows} == {"implicit", "mse"}
        assert "| mse |" in table(tmp_path / f"results/{name}.json")
        assert (tmp_path / f"docs/{name}.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="allowed: function_fits"):
        figures(compose("figures", ["only=[nothing]"]))
