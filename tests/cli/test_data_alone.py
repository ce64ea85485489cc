"""One command trains from a data set of any format, without an environment."""

import json

import formats
import pytest
import replays

from ibc.cli.config import compose
from ibc.cli.train import train

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
