"""One command trains from a data set of any format, without an environment."""

import json

import formats
import numpy as np
import pytest
import replays
from commands import assert_refused
from known_energies import ACTION_SPEC

from ibc.cli.config import compose
from ibc.cli.train import train
from ibc.policies import MSEPolicy

pytestmark = pytest.mark.unchecked

WRITERS = formats.WRITERS | replays.WRITERS
SMALL = [
    "policy=mse", "network.width=8", "encoder.num_gates=0", "obs_horizon=1", "data.holdout=0.34", "trainer.num_steps=3",
    "trainer.batch_size=4", "validation.every=3", "video=false", "run_dir=run",
]  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_trains_and_measures_what_is_held_out(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = WRITERS[kind](tmp_path)
    train(compose("train", [*SMALL, f"data.path={path}"]))
    result = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert 0 < result["held_out"]["action_error"] < 2
    assert (tmp_path / "run/checkpoint_best.pt").is_file()


def test_a_policy_made_in_python_needs_no_environment(cli, tmp_path):
    """But for commands that act in one, which say so."""
    MSEPolicy(ACTION_SPEC, width=8).save(tmp_path / "p.pt")
    (tmp_path / "data").mkdir()
    for seed in range(12):
        state = np.random.default_rng(seed).normal(size=(6, 2)).astype(np.float32)
        np.savez(tmp_path / f"data/{seed}.npz", state=state, action=np.tanh(state[:, :1]))
    detector = ("output=d.npz", "scores=[NearestNeighbors]", "false_alarms=0.2")
    assert cli("calibrate", "checkpoint=p.pt", "data.path=data", *detector)[0] == 0
    assert cli("export", "checkpoint=p.pt", "output=out", "format=safetensors")[0] == 0
    for command in (("evaluate",), ("calibrate", *detector), ("record", "output=x.mp4")):
        assert_refused(cli(command[0], "checkpoint=p.pt", *command[1:]), "no environment is named")
