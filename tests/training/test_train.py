"""Training: exact resume, run folders, loggers, and a loss that falls."""

import gc
import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import torch
from small import CPU, tiny

from ibc.checkpoint import load_checkpoint
from ibc.cli.train import prepare, train
from ibc.errors import Interrupted, UserError
from ibc.evaluation import collect_demonstrations
from ibc.lock import hold
from ibc.training.loggers import read_metrics
from ibc.training.run_folder import run_folder

pytestmark = pytest.mark.unchecked


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    """Demonstrations of the experiment that :func:`tiny` trains on."""
    path = tmp_path_factory.mktemp("demonstrations") / "particle_2d"
    collect_demonstrations(tiny()["env"], path, num_episodes=20)
    return path


@pytest.fixture
def in_tmp(tmp_path, monkeypatch, demonstrations):
    shutil.copytree(demonstrations, tmp_path / tiny()["data"]["path"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(path):
    return load_checkpoint(path).weights


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize(
    "options",
    [
        ["policy=implicit", "encoder.noise_std=0.1"],
        ["policy=mse", "policy.dropout=0.2", "trainer.ema_decay=0.9"],
    ],
)
def test_interrupted_and_resumed_equals_left_alone(in_tmp, options):
    """Bit for bit: weights, the record of the run, and the generator's state."""
    options = [*options, "trainer.num_steps=120", "seed=3"]
    train(tiny(*options, "run_dir=alone"))

    def interrupt():  # a moment in the middle of the steps, whenever they begin
        while len(read_metrics(in_tmp / "stopped")) < 2:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match="resume=true"):
        train(tiny(*options, "run_dir=stopped"))
    thread.join()
    stopped_at = load_checkpoint(in_tmp / "stopped/checkpoint.pt").trainer["step"]
    assert 20 < stopped_at < 120
    train(tiny(*options, "run_dir=stopped", "resume=true"))
    alone, resumed = (load_checkpoint(in_tmp / d / "checkpoint.pt") for d in ("alone", "stopped"))
    assert_equal(alone.weights, resumed.weights)
    assert torch.equal(alone.trainer["generator"], resumed.trainer["generator"])
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_metrics(in_tmp / d)]
        for d in ("alone", "stopped")
    ]
    assert rows[0] == rows[1]


def test_seeds_decide(in_tmp):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny(f"run_dir={name}", f"seed={seed}", "trainer.num_steps=20"))
    assert_equal(weights(in_tmp / "a/checkpoint.pt"), weights(in_tmp / "b/checkpoint.pt"))
    other = weights(in_tmp / "c/checkpoint.pt")
    key = "energy.head.dense_action.weight"
    assert not torch.equal(weights(in_tmp / "a/checkpoint.pt")[key], other[key])


def test_the_moving_average_of_the_weights(in_tmp):
    """Of a young run, of about its last tenth; of an older one, by the decay. Training itself does not change."""
    config = tiny("policy=mse", "trainer.ema_decay=0.85", "trainer.num_steps=60")
    averaged, _ = prepare(in_tmp / "a", config, CPU)
    torch.manual_seed(1)
    plain, _ = prepare(in_tmp / "b", tiny("policy=mse", "trainer.num_steps=60"), CPU)
    plain.policy.load_state_dict(averaged.policy.state_dict())
    expected = {}
    for step in range(60):
        averaged.train_step()
        plain.train_step()
        kept = min(0.85, step / (step + 9))  # 0.85 from step 51 on
        for name, value in plain.weights().items():
            before = kept * expected[name] if step else 0
            expected[name] = before + (1 - kept) * value
    assert_equal(averaged.policy.state_dict(), plain.policy.state_dict())
    for name, value in averaged.weights().items():
        torch.testing.assert_close(value, expected[name])


def test_the_moving_average_has_the_statistics_of_the_last_step(in_tmp):
    """The vectors of spectral normalization belong to the weights of the last step, not to the first ones."""
    overrides = "policy=implicit", "policy.energy.spectral_norm=true", "trainer.ema_decay=0.5"
    trainer, _ = prepare(in_tmp / "a", tiny(*overrides, "trainer.num_steps=4"), CPU)
    first = [buffer.clone() for buffer in trainer.policy.buffers()]
    for _ in range(4):
        trainer.train_step()
    last = list(trainer.policy.buffers())
    assert not all(map(torch.equal, first, last))
    assert all(map(torch.equal, trainer.average.policy.buffers(), last))


def test_a_finished_run_is_evaluated_again_not_trained(in_tmp, capsys):
    train(tiny("run_dir=run"))
    before = (in_tmp / "run/checkpoint.pt").read_bytes()
    train(tiny("run_dir=run", "resume=true"))
    assert "trained already" in capsys.readouterr().out
    assert (in_tmp / "run/checkpoint.pt").read_bytes() == before


def test_what_a_run_leaves_behind(in_tmp, capsys, whole_report):
    train(tiny("run_dir=run", "video=true"))
    out = capsys.readouterr().out
    for name in ("checkpoint.pt", "evaluation.json", "video.mp4", "report.html"):
        assert (in_tmp / "run" / name).stat().st_size > 0
        assert f"run/{name}" in out
    assert "success" in out
    figures = json.loads((in_tmp / "run/evaluation.json").read_text())
    assert figures["env_id"] == "Particle-v0"
    assert figures["num_episodes"] == len(figures["episodes"]) == 4
    assert [row["seed"] for row in figures["episodes"]] == [100000, 100001, 100002, 100003]
    assert set(figures["episodes"][0]) == {"seed", "success", "return", "length"}
    assert figures["about"]["data"]["num_episodes"] == 20


def test_a_film_that_fails_costs_no_result(in_tmp, capsys, monkeypatch):
    """Whether there are pictures is tried before training; a display may be gone after it."""

    def fail(*_, **__):
        raise UserError("cannot render Particle-v0")

    monkeypatch.setattr("ibc.cli.train.record_films", fail)
    train(tiny("run_dir=run", "video=true"))
    assert "no film: cannot render Particle-v0" in capsys.readouterr().out
    left = {path.name for path in (in_tmp / "run").iterdir()}
    assert {"checkpoint.pt", "evaluation.json", "report.html"} <= left
    assert "video.mp4" not in left


class TestRunFolder:
    def test_in_use_by_a_run(self, in_tmp):
        train(tiny("run_dir=run"))
        before = {p.name: p.read_bytes() for p in (in_tmp / "run").iterdir()}
        with pytest.raises(UserError, match="holds a run already; continue it by resume=true"):
            train(tiny("run_dir=run"))
        assert {p.name: p.read_bytes() for p in (in_tmp / "run").iterdir()} == before

    def test_in_use_by_another_process(self, in_tmp):
        with (
            run_folder(in_tmp / "run", resume=False),
            pytest.raises(UserError, match="in use by another process"),
            run_folder(in_tmp / "run", resume=True),
        ):
            pass

    def test_resume_with_other_settings(self, in_tmp):
        train(tiny("run_dir=run"))
        with pytest.raises(UserError, match="other settings of optimizer"):
            train(tiny("run_dir=run", "resume=true", "optimizer.lr=0.5"))

    def test_resume_with_other_data(self, in_tmp):
        train(tiny("run_dir=run", "data.path=demos"))
        (in_tmp / "demos").rename(in_tmp / "old")
        collect_demonstrations(tiny()["env"], in_tmp / "demos", num_episodes=19)
        with pytest.raises(UserError, match="other demonstrations"):
            train(tiny("run_dir=run", "data.path=demos", "resume=true"))


def test_a_collection_that_failed_can_be_tried_again_by_the_same_program(tmp_path):
    """As in a notebook, which keeps the error: it would wait for itself."""
    env = {"id": "Particle-v0", "expert": lambda obs: np.zeros(2)}
    with pytest.raises(UserError, match="fails too often: 110 failures") as kept:
        collect_demonstrations(env, tmp_path / "demos", num_episodes=1)
    hold(tmp_path / "demos.partial/.lock").close()
    assert kept.value is not None


def test_metrics_after_the_last_checkpoint_are_written_once(in_tmp):
    """A killed run has rows beyond its checkpoint; the continued one must not repeat them."""
    train(tiny("run_dir=run", "trainer.num_steps=100"))
    path = in_tmp / "run/metrics.jsonl"
    whole = path.read_text()
    from ibc.training.loggers import JsonlLogger

    path.write_text(whole + '{"step": 100, "lo')
    JsonlLogger(in_tmp / "run", resume_step=60).close()
    assert [row["step"] for row in read_metrics(in_tmp / "run")] == [0, 20, 40]


def test_divergence_is_reported_and_weights_are_kept(in_tmp):
    config = tiny("run_dir=run", "optimizer.lr=1e30", "trainer.warmup_steps=0")
    with pytest.raises(UserError, match=r"training diverged at step \d+"):
        train(config)
    saved = weights(in_tmp / "run/checkpoint.pt")
    assert all(torch.isfinite(value).all() for value in saved.values())


def test_wandb_offline_asks_for_nothing(in_tmp, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "")
    train(tiny("run_dir=run", "logger=wandb"))
    parts = list((in_tmp / "run/wandb").glob("offline-run-*"))  # of training, and of the result
    known = (in_tmp / "run/wandb_run.txt").read_text().strip()
    assert len(parts) == 2
    assert {part.name.rpartition("-")[2] for part in parts} == {known}
    assert read_metrics(in_tmp / "run"), "the local record is kept beside it"


def test_the_loss_of_an_untrained_energy_is_chance(in_tmp):
    """And it falls: the cheapest sign that gradients point the right way."""
    wider = ["network.width=64", "optimizer.lr=3e-3", "trainer.num_steps=400"]
    wider.append("loss=info_nce")
    trainer, _ = prepare(in_tmp, tiny(*wider), CPU)
    first = trainer.numbers(trainer.train_step())
    assert first["info_nce"] == pytest.approx(first["chance"], rel=0.05)
    for _ in range(300):
        last = trainer.numbers(trainer.train_step())
    assert last["info_nce"] < 0.8 * first["info_nce"]


def test_memory_is_not_kept_from_step_to_step(in_tmp):
    trainer, _ = prepare(in_tmp, tiny(), CPU)

    def live():
        gc.collect()
        return sum(type(o) in (torch.Tensor, torch.nn.Parameter) for o in gc.get_objects())

    for _ in range(5):
        trainer.train_step()
    before = live()
    for _ in range(20):
        trainer.train_step()
    assert live() <= before
