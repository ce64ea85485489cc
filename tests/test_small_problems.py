"""The small problems: their geometry and their truth, and the commands in seconds."""

import itertools
import json
from pathlib import Path

import matplotlib.path
import numpy as np
import pytest
import torch
from test_explicit import vector_spec

from benchmarks.methods import chosen, methods, methods_table, seeds_text, steps_within
from benchmarks.tables.pages import table
from benchmarks.toys import coordinates, function_fits
from benchmarks.toys.bimodal import (
    WEIGHTS,
    compare,
    demonstrations,
    divergence,
    log_density,
    middles,
)
from benchmarks.toys.problems import small_problems
from ibc.cli.config import compose
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


class TestCoordinates:
    def test_the_square_is_where_it_is_said_to_be(self):
        positions = np.array([[3, 92], [40, 7]])
        green = coordinates.pictures(positions)[..., 0] == 0
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
        first, _ = middles(torch.from_numpy(obs))
        share = ((torch.from_numpy(action) - first).abs() < 0.3).float().mean()
        assert share.item() == pytest.approx(WEIGHTS[0], abs=0.03)

    def test_the_expert_is_right_and_balanced(self):
        class Expert(Policy):
            def fit(self, dataset):
                pass

            def act_flat(self, obs, rng):
                first, second = middles(obs["state"][:, 0])
                return torch.where(rng.uniform(len(first), 1) < WEIGHTS[0], first, second)

        row = compare(Expert(vector_spec(1)), RankingNCE(num=1), 0)
        assert row["right"] == 1
        assert row["balance"] == pytest.approx(0.7, abs=0.07)
        assert row["kl"] is None

    def test_divergence_is_taken_at_the_scale_that_was_trained(self):
        """The exact optimum of each loss is at no distance from the truth; what is no density has none."""
        obs = torch.linspace(-1, 1, 5).view(-1, 1)

        class Leveled:
            levels = (1.0, 0.01)

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
            temperature = loss.density_temperature(energy)
            assert divergence(energy, temperature, obs) == pytest.approx(0, abs=1e-4)
            assert divergence(energy, 2 * temperature, obs) > 0.05
        for loss in (DenoisingScoreMatching(), Unrolled(num=4, num_steps=2, step_size=0.5)):
            assert loss.density_temperature(half) is None


class TestMethods:
    QUICK = ("overrides=['debug=quick','network.width=8','encoder.num_gates=4']",)

    def test_every_method_and_every_task_can_be_composed(self):
        config = compose("methods", [])
        tasks = itertools.cycle(config["tasks"].values())
        for method, task in zip(config["methods"].values(), tasks, strict=False):
            compose("train", [*task, *method])
        assert set(config["best"]) <= set(config["methods"])

    def run(self, *overrides):
        settings = compose("methods", ["seconds=1", *overrides, *self.QUICK])
        methods(settings)
        first = {path: path.stat().st_mtime_ns for path in Path().rglob("evaluation.json")}
        methods(settings)
        assert first == {path: path.stat().st_mtime_ns for path in Path().rglob("evaluation.json")}
        return json.loads(Path("results/methods.json").read_text())["rows"]

    def test_the_toy(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        implicit, explicit = self.run("only_tasks=[bimodal]", "only_methods=[mse,dfo]")
        assert (explicit["method"], implicit["method"]) == ("mse", "dfo")
        assert explicit["kl"] is None
        assert implicit["kl"] > 0
        assert "| dfo |" in table(tmp_path / "results/methods.json")

    def test_the_table_is_filled_in_several_sittings(self, tmp_path, monkeypatch):
        """On another machine the runs are gone, and the result file alone says what is done."""
        monkeypatch.chdir(tmp_path)
        made = []

        def cell(folder, overrides, seeds, seconds):
            made.append(folder.name)
            return {"right": 1.0, "balance": 0.7, "kl": None}

        monkeypatch.setattr("benchmarks.methods.bimodal_runs", cell)

        def run(*overrides):
            made.clear()
            methods(compose("methods", ["only_tasks=[bimodal]", *overrides]))
            rows = json.loads(Path("results/methods.json").read_text())["rows"]
            return [row["method"] for row in rows]

        assert run("only_methods=[nearest]") == ["nearest"]
        assert run("only_methods=[mse,nearest]") == ["mse", "nearest"]  # in the order of the table
        assert made == ["mse"]
        run("only_methods=[nearest]", "seconds=7")
        assert made == ["nearest"]
        run("only_methods=[mse]", "seeds=[5]")
        assert made == ["mse"]

    @pytest.mark.slow
    def test_an_environment(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (row,) = self.run("only_tasks=[particle_2d]", "only_methods=[mse]")
        assert row["num_episodes"] == 4

    def test_unknown_names(self):
        with pytest.raises(UserError, match="only_methods has x; allowed: a, b"):
            chosen({"a": [], "b": []}, ["a", "x"], "only_methods")

    def test_steps_are_counted_by_the_clock(self, monkeypatch):
        clock = iter((0.0, 0.6))
        monkeypatch.setattr("benchmarks.methods.time.perf_counter", lambda: next(clock))

        class Trainer:
            def train_step(self):
                pass

        assert steps_within(Trainer(), 7.77) == 150  # 12 steps in 0.6 s: 155, two digits

    def test_what_has_not_run_is_named(self):
        cell = {
            "success_rate": 1.0,
            "success_rate_ci95": [0.9, 1.0],
            "training_seconds": [2.0, 5.4],
            "policy_latency_ms": 1.0,
        }
        cell["seeds"] = [0]
        rows = [{"task": "a", "method": "m", **cell}, {"task": "b", "method": "n", **cell}]
        result = {"tasks": ["a", "b", "c"], "methods": ["m", "n", "k"], "rows": rows}
        lines = methods_table(result)
        assert lines[0] == "| method | a | b | training | ms |"
        assert lines[2] == "| m | 100.0% (90% to 100%) | not run | 2 to 5 s | 1.0 to 1.0 |"
        assert lines[-3:] == ["Training seeds: 0.", "", "Not run: c, k."]

    def test_seeds_are_said(self):
        """A row of several tasks may have had some of them with fewer seeds, until all is run."""
        seeds = {"m": [[0], [0]], "n": [[0, 1], [0, 1]], "k": [[0]], "j": [[0], [0, 1]]}
        rows = [{"method": name, "seeds": each} for name, cells in seeds.items() for each in cells]
        assert seeds_text(list("mnkj"), rows) == "0; 0, 1 of n; 0 or 0, 1 of j"


@pytest.mark.slow
def test_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in (coordinates, function_fits):
        monkeypatch.setattr(module, "NUM_TEST", 20)
    steps = ["steps.function_fits=2", "steps.coordinate_regression=2", "counts=[4]"]
    small_problems(compose("figures", steps))
    for name in ("function_fits", "coordinate_regression"):
        rows = json.loads((tmp_path / f"results/{name}.json").read_text())["rows"]
        assert {row["policy"] for row in rows} == {"implicit", "mse"}
        assert "| mse |" in table(tmp_path / f"results/{name}.json")
        assert (tmp_path / f"docs/{name}.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="allowed: function_fits"):
        small_problems(compose("figures", ["only=[nothing]"]))
