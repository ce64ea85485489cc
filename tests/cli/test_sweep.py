"""Sweeps: every swept value has its own folder, what is finished is skipped, and a table says what came out."""

from pathlib import Path

import pytest
from small import tiny

from ibc.checkpoint import Checkpoint, save_checkpoint
from ibc.cli.sweep import Sweep, folder_of
from ibc.errors import UserError
from ibc.evaluation.evaluate import write_json


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
    with pytest.raises(UserError, match=r"other settings: .*batch_size \(was 32, is 8\)"):
        sweep("trainer.batch_size=8", "trainer.num_steps=90")
