"""Studies over policies and seeds, the policies they publish, and the tables made of their results."""

import contextlib
import json
import shlex
import shutil

import pytest

from benchmarks.config import compose
from benchmarks.runs import pool
from benchmarks.study import command, study
from benchmarks.tables.pages import write_tables
from ibc.checkpoint import load_checkpoint
from ibc.errors import UserError
from ibc.training.loggers import read_metrics

pytestmark = pytest.mark.unchecked

EVALUATION = {
    "env_id": "Particle-v0",
    "first_seed": 0,
    "num_envs": 1,
    "success_rate": 0.5,
    "return_mean": 1.0,
    "policy_latency_ms": {"median": 1.0},
    "episodes": [{"success": True}, {"success": False}],
    "about": {"training_seconds": 1.0, "commit": None},
}
OVERRIDES = "overrides=['debug=quick','network.width=8','encoder.num_gates=4']"


def settings(*overrides):
    output = ["output=results/particle_2d.json", "pretrained=pretrained/particle_2d.pt"]
    base = [*output, "name=particle_2d", "policies=[implicit,mse]", "seeds=[0,1]", OVERRIDES]
    return compose("study", [*base, *overrides])


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        study(settings())
    return folder


@pytest.fixture
def done(studied, tmp_path, monkeypatch):
    """A copy for each test of a study that has run once."""
    shutil.copytree(studied, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_result_pools_seeds(done):
    result = json.loads((done / "results/particle_2d.json").read_text())
    assert [row["policy"] for row in result["rows"]] == ["implicit", "mse"]
    for row in result["rows"]:
        assert row["num_episodes"] == 8
        assert len(row["success_rate_by_seed"]) == len(row["training_seconds"]) == 2
        assert row["return_std"] is not None
    assert "'seeds=[0,1]'" in result["command"]
    assert result["about"]["cores"] >= 1
    again = compose("study", shlex.split(result["command"])[2:])
    for key in ("name", "policies", "seeds", "overrides"):
        assert again[key] == settings()[key]


def test_finished_runs_are_reused_and_others_are_not(done):
    run = done / "runs/quick/particle_2d/implicit_info_nce/seed_0"
    before = (run / "evaluation.json").stat().st_mtime_ns
    study(settings())
    assert (run / "evaluation.json").stat().st_mtime_ns == before
    changed = f"{OVERRIDES[:-1]},'optimizer.lr=0.5']"
    with pytest.raises(UserError, match="other settings of optimizer"):
        study(settings(changed))
    assert read_metrics(run)


def test_other_policies_of_the_same_study_stay(done):
    """As where the runs are gone: what stays is what the result file says."""
    path = done / "results/particle_2d.json"
    first = json.loads(path.read_text())
    first["rows"][0]["success_rate"] = 0.123
    path.write_text(json.dumps(first))
    study(settings("policies=[mdn]"))
    second = json.loads(path.read_text())
    assert [row["policy"] for row in second["rows"]] == ["implicit", "mse", "mdn"]
    assert second["rows"][:2] == first["rows"]
    assert "'policies=[implicit,mse,mdn]'" in second["command"]
    study(settings("policies=[mse]", "seeds=[0]"))
    assert [row["policy"] for row in json.loads(path.read_text())["rows"]] == ["mse"]


def test_published_policy_cannot_be_continued_but_acts(done):
    checkpoint = load_checkpoint(done / "pretrained/particle_2d.pt")
    assert checkpoint.trainer is None
    assert "success_rate" in checkpoint.about


def test_tables(done):
    (done / "docs").mkdir()
    page = done / "README.md"
    page.write_text("before\n<!-- table particle_2d -->\nold\n<!-- end -->\nafter\n")
    write_tables(done)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| mse |" in text
    assert "python scripts/study.py name=particle_2d" in text
    write_tables(done)
    assert page.read_text() == text


def test_evaluations_of_the_same_episodes_share_a_table(done):
    for policy, folder in (("implicit", "implicit_info_nce"), ("mse", "mse")):
        evaluation = done / f"runs/quick/particle_2d/{folder}/seed_0/evaluation.json"
        shutil.copy(evaluation, done / f"results/{policy}.json")
    page = done / "README.md"
    page.write_text("<!-- table implicit mse -->\n<!-- end -->\n")
    write_tables(done)
    rows = page.read_text().splitlines()[3:5]
    assert [row.split(" | ")[0] for row in rows] == [
        "| particle_2d, implicit_info_nce",
        "| particle_2d, mse",
    ]
    page.write_text("<!-- table mse particle_2d -->\n<!-- end -->\n")
    with pytest.raises(UserError, match="particle_2d does not fit into one table with mse"):
        write_tables(done)
    other = json.loads((done / "results/mse.json").read_text()) | {"first_seed": 7}
    (done / "results/other.json").write_text(json.dumps(other))
    page.write_text("<!-- table mse other -->\n<!-- end -->\n")
    with pytest.raises(UserError, match="same seeds"):
        write_tables(done)


def test_a_missing_result_is_named(done):
    page = done / "README.md"
    page.write_text("<!-- table nothing -->\n<!-- end -->\n")
    with pytest.raises(UserError, match="no result at"):
        write_tables(done)


def test_what_an_experiment_itself_trains_is_published(tmp_path, monkeypatch):
    """The autoregressive energy of an experiment made for it, and not another policy that ran beside it."""
    monkeypatch.chdir(tmp_path)
    overrides = "overrides=['debug=quick','network.width=8','encoder.num_gates=4','env.n_dim=2']"
    name = "particle_16d_autoregressive"
    policies = "policies=[implicit_autoregressive,mse]"
    study(
        compose(
            "study",
            [f"name={name}", f"pretrained=pretrained/{name}.pt", policies, "seeds=[0]", overrides],
        )
    )
    published = load_checkpoint(tmp_path / f"pretrained/{name}.pt")
    assert published.config["policy_name"] == "implicit_autoregressive"


def test_a_protocol_of_experiments_is_one_table(tmp_path, monkeypatch):
    """A row an experiment and policy, published numbers beside them, each energy published by its experiment's name."""
    monkeypatch.chdir(tmp_path)
    quick = f"overrides={OVERRIDES[len('overrides=') : -1]},'env=particle','data.num_episodes=4']"
    study(
        compose(
            "study",
            [
                "protocol=block_push",
                "output=results/block_push.json",
                "pretrained=pretrained/block_push.pt",
                "experiments=[block_push_states,block_insert_states]",
                "policies=[implicit,mse]",
                "seeds=[0]",
                quick,
            ],
        )
    )
    result = json.loads((tmp_path / "results/block_push.json").read_text())
    assert [(row["task"], row["policy"]) for row in result["rows"]] == [
        (experiment, policy)
        for experiment in ("block_push_states", "block_insert_states")
        for policy in ("implicit", "mse")
    ]
    names = sorted(path.stem for path in (tmp_path / "pretrained").glob("*.pt"))
    assert names == ["block_insert_states", "block_push_states"]
    page = tmp_path / "README.md"
    page.write_text("<!-- table block_push -->\n<!-- end -->\n")
    write_tables(tmp_path)
    lines = page.read_text().splitlines()
    assert any(line.startswith("| block_insert_states | implicit | 83 |") for line in lines)
    assert any(line.startswith("| block_push_states | mse | none |") for line in lines)


def test_numbers_of_episodes_that_broke_are_left_out_of_a_pool():
    (first, *_), rows = EVALUATION["episodes"], []
    for values in ([1.0, None], [2.0, 6.0]):
        episodes = [{**first, "told": value} for value in values]
        rows.append({**EVALUATION, "episodes": episodes, "report": {"told": {"mean": values[0]}}})
    told = pool(rows)["report"]["told"]
    assert (told["mean"], told["by_seed"]) == (3.0, [1.0, 4.0])


def test_a_protocol_puts_together_what_was_measured_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    row = pool([EVALUATION])
    for name, policies in (
        ("block_insert_states", ["mse", "mdn"]),
        ("block_push_states", ["implicit"]),
    ):
        alone = compose("study", [f"name={name}", f"policies=[{','.join(policies)}]", "seeds=[0]"])
        rows = [{"policy": policy, **row} for policy in policies]
        result = {"command": command(alone), "rows": rows}
        (tmp_path / f"results/{name}.json").write_text(json.dumps(result))
    study(
        compose(
            "study",
            ["output=results/block_push.json", "protocol=block_push", "policies=[]", "seeds=[0]"],
        )
    )
    result = json.loads((tmp_path / "results/block_push.json").read_text())
    assert [(row["task"], row["policy"]) for row in result["rows"]] == [
        ("block_push_states", "implicit"),
        ("block_insert_states", "mse"),
        ("block_insert_states", "mdn"),
    ]
    study(
        compose(
            "study",
            ["output=results/block_push.json", "protocol=block_push", "policies=[]", "seeds=[0,1]"],
        )
    )
    assert not json.loads((tmp_path / "results/block_push.json").read_text())["rows"]
