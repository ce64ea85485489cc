"""The methods command: which cells it measures, keeps and shows."""

import itertools
import json
from pathlib import Path

import pytest

from benchmarks.config import compose, select
from benchmarks.methods import methods
from benchmarks.runs import steps_within
from benchmarks.tables.methods import methods_table, seeds_text
from benchmarks.tables.pages import table
from ibc.errors import UserError

pytestmark = pytest.mark.unchecked

OUTPUT = Path("runs/results/methods.json")
QUICK = ("overrides=['debug=quick','network.width=8','encoder.num_gates=4']",)


@pytest.mark.parametrize(
    "suite", ["actions", "chunks", "defaults", "picture_defaults", "real_data"]
)
def test_every_method_and_every_task_can_be_composed(suite):
    config = compose("methods", [f"suite={suite}"])
    tasks = itertools.cycle(config["tasks"].values())
    for method, task in zip(config["methods"].values(), tasks, strict=False):
        compose("train", [*task, *method])
    assert set(config["best"]) <= set(config["methods"])


def run_twice(*overrides):
    settings = compose("methods", ["seconds=1", *overrides, *QUICK])
    methods(settings)
    first = {path: path.stat().st_mtime_ns for path in Path().rglob("evaluation.json")}
    methods(settings)
    assert first == {path: path.stat().st_mtime_ns for path in Path().rglob("evaluation.json")}
    return json.loads(OUTPUT.read_text())["rows"]


def test_the_toy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    implicit, explicit = run_twice("only_tasks=[bimodal]", "only_methods=[mse,dfo]")
    assert (explicit["method"], implicit["method"]) == ("mse", "dfo")
    assert explicit["kl"] is None
    assert implicit["kl"] > 0
    assert "| dfo |" in table(OUTPUT)


def test_the_table_is_filled_in_several_sittings(tmp_path, monkeypatch):
    """On another machine the runs are gone, and the result file alone says what is done."""
    monkeypatch.chdir(tmp_path)
    made = []

    def cell(folder, overrides, seeds, seconds):
        made.append(folder.name)
        metrics = {"right": 1.0, "balance": 0.7, "kl": None}
        return {**metrics, "training_seconds": [1.0], "policy_latency_ms": 1.0}

    monkeypatch.setattr("benchmarks.methods.bimodal_cell", cell)

    def run(*overrides):
        made.clear()
        methods(compose("methods", ["only_tasks=[bimodal]", *overrides]))
        rows = json.loads(OUTPUT.read_text())["rows"]
        return [row["method"] for row in rows]

    assert run("only_methods=[nearest]") == ["nearest"]
    assert run("only_methods=[mse,nearest]") == ["mse", "nearest"]  # in the order of the table
    assert made == ["mse"]
    run("only_methods=[nearest]", "seconds=7")
    assert made == ["nearest"]
    run("only_methods=[mse]", "seeds=[5]")
    assert made == ["mse"]


@pytest.mark.slow
def test_an_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (row,) = run_twice("only_tasks=[particle_2d]", "only_methods=[mse]")
    assert row["num_episodes"] == 4


def test_unknown_names():
    with pytest.raises(UserError, match="only_methods has x; allowed: a, b"):
        select({"a": [], "b": []}, ["a", "x"], "only_methods")


def test_steps_are_counted_by_the_clock(monkeypatch):
    now, taken = [0.0], []
    monkeypatch.setattr("benchmarks.runs.time.perf_counter", lambda: now[0])

    class Trainer:
        def train_step(self):
            taken.append(1.0 if len(taken) in (5, 6, 7) else 0.05)  # other work on the machine
            now[0] += taken[-1]

    assert steps_within(Trainer(), 7.77) == 150  # 155, two digits
    assert len(taken) == 3 + 12
    taken.clear()
    assert steps_within(Trainer(), 777) == 15000
    assert 0.05 * 777 <= sum(taken[3:]) < 0.05 * 777 + 0.1


def test_what_has_not_run_is_named():
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


def test_seeds_are_said():
    """A row of several tasks may have had some of them with fewer seeds, until all is run."""
    seeds = {"m": [[0], [0]], "n": [[0, 1], [0, 1]], "k": [[0]], "j": [[0], [0, 1]]}
    rows = [{"method": name, "seeds": each} for name, cells in seeds.items() for each in cells]
    assert seeds_text(list("mnkj"), rows) == "0; 0, 1 of n; 0 or 0, 1 of j"
