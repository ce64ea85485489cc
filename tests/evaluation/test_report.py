"""Pages of runs: what stands on them, and that they need nothing else."""

import contextlib
import json
import re

import numpy as np
import pytest
from small import tiny

from ibc.cli.app import collect_positional, main, name_positional
from ibc.cli.train import command_line, train
from ibc.evaluation.plots import CHANCE_RANK, held_out_curves, training_curves
from ibc.evaluation.record import seeds_to_film
from ibc.evaluation.run_comparison import changes, read_run, write_comparison

pytestmark = pytest.mark.unchecked


def levels(figure):
    """Heights of the dotted lines."""
    return [
        float(np.asarray(line.get_ydata())[0])
        for line in figure.axes[0].lines
        if line.get_linestyle() == ":"
    ]


def rows(**terms):
    return [
        {"step": 20 * i, "lr": 1e-3, **{k: v - 0.1 * i for k, v in terms.items()}} for i in range(4)
    ]


class TestLevelOfChance:
    def test_of_a_contrastive_loss(self):
        logged = [{**row, "chance": 2.2} for row in rows(loss=2.3, info_nce=2.3)]
        ((name, figure),) = training_curves({"a": logged})
        assert name == "loss"
        assert levels(figure) == [2.2]

    def test_of_a_sum_stands_at_its_contrastive_term_only(self):
        logged = [{**row, "chance": 1.6} for row in rows(loss=2.3, info_nce=1.7, denoising=0.6)]
        figures = dict(training_curves({"a": logged}))
        assert {name: levels(figure) for name, figure in figures.items()} == {
            "loss": [],
            "info nce": [1.6],
            "denoising": [],
        }

    def test_of_other_losses_there_is_none(self):
        figures = dict(training_curves({"a": rows(loss=0.5, mse=0.5)}))
        assert {name: levels(figure) for name, figure in figures.items()} == {"loss": []}

    def test_of_the_rank_is_one_half(self):
        logged = [{"step": i, "held_out/rank": 0.2, "held_out/loss": 1.0} for i in range(3)]
        figures = {name: levels(figure) for name, figure in held_out_curves({"a": logged})}
        assert figures == {
            "held out, loss (less is better)": [],
            "held out, rank (less is better)": [CHANCE_RANK],
        }

    def test_two_runs_are_drawn_in_one_figure(self):
        figures = dict(training_curves({"a": rows(loss=1.0), "b": rows(loss=2.0)}))
        (legend,) = [axes.get_legend() for axes in figures["loss"].axes]
        assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_failures_are_filmed_before_successes():
    outcomes = [True, True, False, True, False, False]
    episodes = [{"seed": 10 + i, "success": value} for i, value in enumerate(outcomes)]
    assert seeds_to_film(episodes) == [12, 14, 10, 11]
    assert seeds_to_film(episodes[:2]) == [10, 11]


@pytest.fixture(scope="module")
def runs(trained):
    """Two short runs on the same task, one of them a baseline; the first with its report."""
    from ibc.cli import train as command
    from ibc.evaluation.report import write_report

    with contextlib.chdir(trained), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["ibc train", "debug=quick", "name=a b"])
        patch.setattr(command, "write_report", write_report)
        train(tiny("run_dir=first", "video=true"))
        patch.setattr(command, "write_report", lambda path, *_: path.write_text(""))
        train(tiny("run_dir=second", "policy=mse", "seed=1"))
        yield trained


def test_the_report_of_a_run(runs):
    page = (runs / "first/report.html").read_text()
    found = json.loads((runs / "first/evaluation.json").read_text())
    episodes = found["episodes"]
    assert page.count("<i class=") == len(episodes)
    assert page.count('<i class="failure"') == sum(not row["success"] for row in episodes)
    filmed = seeds_to_film(episodes)
    assert re.findall(r"<figcaption>seed (\d+): \w+", page) == [str(seed) for seed in filmed]
    assert page.count("data:video/mp4;base64,") == page.count("poster=") == len(filmed)
    assert page.count('alt="the scene"') == page.count('alt="energy of actions"') == 4
    assert "for one observation" in page
    assert found["about"]["command"] == "ibc train debug=quick 'name=a b'"
    assert "ibc train debug=quick &#x27;name=a b&#x27;" in page
    assert "<details><summary>Configuration</summary>" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "://" not in page.split("<summary>Configuration")[0], "the page must not need a network"


def test_the_command_is_known_where_one_trains(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/anywhere/pytest", "tests"])
    assert command_line() is None


def test_runs_are_compared_on_a_page(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    main(["report", "first", "second", "output=comparison.html"])
    page = (runs / "comparison.html").read_text()
    assert page.count("<i class=") == 8
    assert "Paired differences" in page
    assert page.count("<td>success</td><td>second</td>") == 1
    assert "The runs have different losses" in page
    assert "<td>policy._target_</td>" in page
    assert "comparison.html" in capsys.readouterr().out
    differing = {
        key: values for key, *values in changes([read_run(runs / n) for n in ("first", "second")])
    }
    assert differing["seed"] == ["0", "1"]
    assert "run_dir" not in differing


def test_a_run_less_itself_is_no_comparison(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    for given, message in (
        (["first"], "two or more different ones"),
        (["first", "first"], "two or more different ones"),
        (["first", "nowhere"], "nowhere is not a finished run: it has no checkpoint.pt"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["report", *given])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_runs_without_an_environment_are_compared_by_curves(runs, tmp_path):
    plain = []
    for name in ("first", "second"):
        run = read_run(runs / name)
        kept = {key: value for key, value in run.metrics.items() if key == "about"}
        plain.append(type(run)(run.name, run.config, kept, run.rows, None))
    write_comparison(tmp_path / "page.html", plain)
    page = (tmp_path / "page.html").read_text()
    assert "Paired differences" not in page
    assert "<h2>Training</h2>" in page


def test_plain_arguments_become_a_list():
    assert collect_positional(["a", "output=x", "b's"], "runs") == [
        "output=x",
        r"runs=['a','b\'s']",
    ]
    assert collect_positional(["a", "--cfg", "job"], "runs") == ["--cfg", "job", "runs=['a']"]
    assert collect_positional(["runs=[a,b]"], "runs") == ["runs=[a,b]"]
    assert collect_positional(["a", "b", "c"], "from", "to") == ["to='c'", "from=['a','b']"]
    assert collect_positional(["a", "b", "to=c"], "from", "to") == ["to=c", "from=['a','b']"]
    assert collect_positional(["a"], "from", "to") == ["from=['a']"]


def test_the_folders_of_a_sweep_have_equals_signs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed=0,lr=1").mkdir()
    assert collect_positional(["seed=0,lr=1", "seed=1"], "runs") == [
        "seed=1",
        "runs=['seed=0,lr=1']",
    ]
    assert name_positional(["seed=0,lr=1", "seed=1"], ["first"]) == [
        "first='seed=0,lr=1'",
        "seed=1",
    ]
