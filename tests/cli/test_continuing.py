"""Runs that go on: for more steps, with moved data, judged otherwise, or from another run's policy."""

import shutil

import pytest
import torch
from small import tiny

from ibc.checkpoint import load_checkpoint
from ibc.cli.train import train
from ibc.errors import UserError
from ibc.files import read_json
from ibc.policies.loading import load_policy
from ibc.training.loggers import read_metrics

pytestmark = pytest.mark.unchecked


@pytest.fixture
def begun(trained, tmp_path, monkeypatch):
    """A copy of a short run and its data, in the current folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_more_steps_moved_data_and_another_measure_of_success(begun):
    (begun / "data/particle_2d_20").rename(begun / "moved")
    more = ["data.path=moved", "trainer.num_steps=80", "env.success_when=any"]
    train(tiny("run_dir=run", "resume=true", *more))
    assert load_checkpoint(begun / "run/checkpoint.pt").about["step"] == 80
    assert [row["step"] for row in read_metrics(begun / "run")] == [0, 20, 40, 60]
    assert read_json(begun / "run/evaluation.json")["num_episodes"] == 4
    with pytest.raises(UserError, match=r"num_steps=10; this run has taken 80 steps of 80"):
        train(tiny("run_dir=run", "resume=true", "data.path=moved", "trainer.num_steps=10"))


def test_a_finished_run_says_how_it_was_judged_last(begun):
    """A sweep skips what has been judged as is asked for, and nothing else."""
    path, before = begun / "run/checkpoint.pt", load_checkpoint(begun / "run/checkpoint.pt")
    train(tiny("run_dir=run", "resume=true", "evaluation.num_episodes=2"))
    after = load_checkpoint(path)
    assert read_json(begun / "run/evaluation.json")["num_episodes"] == 2
    assert after.config["evaluation"]["num_episodes"] == 2
    assert after.about == before.about
    assert after.trainer["step"] == before.trainer["step"]


def test_what_differs_is_named_with_both_values(begun):
    other = ["optimizer.lr=0.5", "trainer.batch_size=16"]
    with pytest.raises(
        UserError, match=r"lr \(was 0.00\d+, is 0.5\); trainer.batch_size \(was 32, is 16\)"
    ):
        train(tiny("run_dir=run", "resume=true", *other))


def test_a_policy_begins_with_another_ones_weights(begun):
    run = [
        "init_from=run/checkpoint.pt",
        "run_dir=tuned",
        "trainer.num_steps=1",
        "optimizer.lr=1e-9",
    ]
    train(tiny(*run))
    first, tuned = (
        load_checkpoint(begun / f"{name}/checkpoint.pt").weights for name in ("run", "tuned")
    )
    for name, value in first.items():
        torch.testing.assert_close(tuned[name], value, atol=1e-6, rtol=0)
    with pytest.raises(
        UserError, match=r"init_from=run/checkpoint.pt is of another architecture: .* here and"
    ):
        train(tiny(run[0], "run_dir=wider", "network.width=24"))
    assert not (begun / "wider/checkpoint.pt").exists()


def test_it_acts_within_the_limits_of_the_new_run(begun):
    """Weights come with the box of the other run, in which a robot may not do as much."""
    more = ["init_from=run/checkpoint.pt", "trainer.num_steps=1", "optimizer.lr=1e-9"]
    train(tiny(*more, "run_dir=tuned", "data.action_limits=[0.4,0.6]"))
    policy = load_policy(begun / "tuned/checkpoint.pt", device="cpu")
    assert policy.spec.action_low == pytest.approx((0.4, 0.4))
    low, high = (
        policy.bounds.from_unit(getattr(policy.bounds, f"unit_{s}")) for s in ("low", "high")
    )
    assert low.min().item() >= 0.4 - 1e-6
    assert high.max().item() <= 0.6 + 1e-6
    with pytest.raises(UserError, match="actions are all outside of the limits"):
        train(tiny(*more, "run_dir=far", "data.action_limits=[5,6]"))


@pytest.mark.parametrize("steps", [10, 39])
def test_fewer_steps_are_refused(begun, steps):
    with pytest.raises(UserError, match=f"num_steps={steps}; this run has taken 60 steps of 60"):
        train(tiny("run_dir=run", "resume=true", f"trainer.num_steps={steps}"))


def test_what_is_measured_in_closed_loop_alone_chooses_the_best_policy(begun):
    train(tiny("run_dir=judged", "validation.closed_loop=2", "validation.every=20"))
    assert load_checkpoint(begun / "judged/checkpoint_best.pt").about["step"] == 20
    rows = [row for row in read_metrics(begun / "judged") if "closed_loop/success_rate" in row]
    assert rows
