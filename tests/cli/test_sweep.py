"""Sweeps: every swept value has its own folder, what is finished is skipped, and a table says what came out."""

import subprocess
import sys
from pathlib import Path

import pytest
from small import tiny

from ibc.checkpoint import Checkpoint, save_checkpoint
from ibc.cli.options import refuse_launcher
from ibc.cli.sweep import Sweep, folder_of
from ibc.errors import UserError
from ibc.evaluation.evaluate import write_json

RECIPE = [
    "experiment=particle_2d", "debug=quick", "network.width=16", "network.num_blocks=1", "video=false",
    "+env.max_episode_steps=10", "+env.demo_overrides.max_episode_steps=50", "trainer.num_steps=20",
]  # fmt: skip


@pytest.mark.parametrize(
    ("swept", "folder"),
    [
        ([], "runs/mse/seed_0"),
        (["seed=0", "policy=mse"], "runs/mse/seed_0"),
        (["optimizer.lr=1e-3", "seed=0"], "runs/mse/seed_0/optimizer.lr=1e-3"),
        (["trainer.num_steps=0"], "runs/mse/seed_0/trainer.num_steps=0"),
    ],
)
def test_folders(swept, folder):
    assert str(folder_of("runs/mse/seed_0", swept)) == folder


def test_what_a_folder_cannot_be_called_still_tells_runs_apart():
    names = {
        folder_of("run", [f"data.path={p}"]).name
        for p in ("a/b", "a b", "a_b", 300 * "x", 301 * "x")
    }
    assert len(names) == 5
    assert max(map(len, names)) < 140


def test_runs_are_taken_once(tmp_path, monkeypatch, capsys, spec):
    monkeypatch.chdir(tmp_path)
    taken = []

    def job(config):
        """What training leaves behind."""
        taken.append((config["run_dir"], config["resume"]))
        folder = Path(config["run_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        saved = Checkpoint(policy={}, spec=spec, weights={}, config=config, about={})
        save_checkpoint(folder / "checkpoint.pt", saved)
        write_json(folder / "evaluation.json", {"success_rate": 0.25, "return_mean": -1.0})

    def sweep(*overrides):
        runs = Sweep(job)
        for lr in ("1e-3", "1e-4"):
            runs.run(tiny("run_dir=run", f"optimizer.lr={lr}", *overrides), [f"optimizer.lr={lr}"])
        return runs.summary().splitlines()

    rows = sweep()
    assert [row.split()[0] for row in rows] == ["optimizer.lr=1e-3", "optimizer.lr=1e-4"]
    assert all("success  25.0%" in row and row.endswith(row.split()[0]) for row in rows)
    assert sweep() == rows
    assert len(taken) == 2
    assert capsys.readouterr().out.count("is finished: skipped") == 2
    sweep("trainer.num_steps=90")
    assert [resume for _, resume in taken] == [False, False, True, True]
    sweep("trainer.num_steps=90", "num_execute_steps=1")
    assert len(taken) == 6
    with pytest.raises(UserError, match=r"other settings: .*batch_size \(was 32, is 8\)"):
        sweep("trainer.batch_size=8", "trainer.num_steps=90")


def test_a_table_is_in_the_order_of_the_values(tmp_path, monkeypatch):
    """Runs that are taken side by side end in any order."""
    monkeypatch.chdir(tmp_path)
    runs = Sweep(lambda config: None)
    for seed in (10, 2, 1):
        write_json(tmp_path / f"run/seed={seed}/evaluation.json", {})
        (tmp_path / f"run/seed={seed}/checkpoint.pt").unlink(missing_ok=True)
        runs.run({"run_dir": "run", "resume": False}, [f"seed={seed}"])
    assert [row.split()[0] for row in runs.summary().splitlines()] == [
        "seed=1",
        "seed=2",
        "seed=10",
    ]
    assert runs.summary() == ""
    assert not list(tmp_path.glob("runs/.sweep*"))


def test_a_launcher_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ibc\[joblib\]'"):
        refuse_launcher(["seed=0,1", "hydra/launcher=joblib"])
    refuse_launcher(["hydra/launcher=basic", "seed=0"])


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_runs_side_by_side_share_demonstrations(tmp_path, launcher):
    """From an empty folder: one run collects what both need, and the other waits."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    command = [sys.executable, "-m", "ibc", "train", "-m", "seed=0,1", *RECIPE]
    result = subprocess.run(
        [*command, f"hydra/launcher={launcher}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert [row.split()[0] for row in result.stdout.splitlines()[-2:]] == ["seed=0", "seed=1"]
    assert len(list(tmp_path.rglob("evaluation.json"))) == 2
    assert len(list((tmp_path / "data").iterdir())) == 1
    failed = subprocess.run(
        [*command, f"hydra/launcher={launcher}", "env.id=Nothing-v0"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith("error: cannot make environment Nothing-v0")
    assert "Traceback" not in failed.stderr
