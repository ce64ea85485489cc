"""Recorded training steps, by a stand-in for the recording: it repeats the step on the same memory."""

import pytest
import torch
from conftest import ROOT
from small import CPU, config_of

from ibc.construct import construct
from ibc.data import dataset
from ibc.errors import UserError
from ibc.policies.loading import make_policy
from ibc.training import Trainer
from ibc.training.recorded_step import WARM_UPS, RecordedStep, _Watch

pytestmark = pytest.mark.unchecked
POLICIES = sorted(path.stem for path in (ROOT / "configs/policy").glob("*.yaml"))
#: Whose steps need the host: descent that ends early, where a loss draws its negatives by it.
WAITING: set[str] = set()


def stand_in(step, generators):
    """A recording whose replay takes the step again and leaves its metrics where the first ones were."""
    out = {}
    return out, lambda: out.update(step())


@pytest.fixture
def make(spec, episodes, monkeypatch):
    monkeypatch.setattr(dataset, "free_memory", lambda device: 1 << 30)

    def make_trainer(name, *, recorded=False, capture=stand_in, **kwargs):
        torch.manual_seed(0)
        config = config_of(name)
        trainer = Trainer(
            make_policy(config["policy"], spec),
            dataset.WindowDataset(episodes, spec, CPU),
            loss=construct(config["loss"], "loss"),
            batch_size=8,
            num_steps=12,
            warmup_steps=2,
            **kwargs,
        )
        assert trainer.dataset.is_on_device
        if recorded:
            trainer.record(RecordedStep(trainer._take_recorded_step, [trainer.generator], capture))
        return trainer

    return make_trainer


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.8, "accumulate": 2}])
def test_a_recorded_run_ends_with_the_weights_of_direct_steps(make, options):
    direct, recorded = make("implicit", **options), make("implicit", recorded=True, **options)
    for _ in range(8):
        torch.manual_seed(direct.step)
        first = direct.numbers(direct.train_step())
        torch.manual_seed(recorded.step)
        second = recorded.numbers(recorded.train_step())
        assert second == pytest.approx(first, rel=1e-3, abs=1e-5)
    assert recorded.recorded._replay is not None
    for name, value in direct.weights().items():
        torch.testing.assert_close(recorded.weights()[name], value, rtol=1e-3, atol=1e-5)


def test_a_recorded_run_that_goes_on_keeps_its_learning_rate_on_the_device(make):
    """What is loaded is a number, or lies in the host's memory, where a replayed step does not see it change."""
    direct, recorded = make("implicit"), make("implicit", recorded=True)
    for _ in range(3):
        direct.train_step()
    recorded.load_state_dict(direct.state_dict())
    recorded.train_step()
    for group in recorded.optimizer.param_groups:
        assert isinstance(group["lr"], torch.Tensor)
        assert group["fused"]
        assert float(group["lr"]) == pytest.approx(recorded.base_lr[0] * recorded.schedule(3))


@pytest.mark.parametrize("name", POLICIES)
def test_the_steps_of_a_policy_can_be_recorded(make, name):
    """What waits for the device would end a recording; this is found by name of the operation, on any device."""
    trainer = make(name)
    trainer.record(RecordedStep(trainer._take_recorded_step, [trainer.generator], stand_in))
    for _ in range(WARM_UPS - 1):
        trainer.train_step()
    with _Watch() as watch:
        trainer._take_recorded_step()
    assert (watch.waiting is not None) == (name in WAITING), watch.waiting


def test_a_recorded_step_that_diverges_leaves_the_weights(make):
    trainer = make("mse", recorded=True, ema_decay=0.5)
    for _ in range(5):
        trainer.train_step()
    before = {n: v.clone() for n, v in trainer.policy.state_dict().items()}
    trainer.loss = lambda policy, batch, rng: (
        sum((p * torch.inf).sum() for p in policy.parameters()),
        {},
    )
    metrics = trainer.train_step()
    with pytest.raises(UserError, match="training diverged"):
        trainer.numbers(metrics)
    for name, value in trainer.policy.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_waits_for_the_device_is_taken_directly_and_said_once(make, capsys):
    trainer = make("mse", recorded=True)
    loss = trainer.loss

    def waiting(policy, batch, rng):
        value, metrics = loss(policy, batch, rng)
        return value * (1.0 if value.item() < 1e9 else 0.0), metrics

    trainer.loss = waiting
    for _ in range(WARM_UPS + 3):
        trainer.train_step()
    assert capsys.readouterr().out.count("_local_scalar_dense waits for the device") == 1


def test_a_recording_that_fails_is_given_up(make, capsys):
    def fails(step, generators):
        if step is dict:  # the empty one that frees the generators
            return {}, lambda: None
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    trainer = make("mse", recorded=True, capture=fails)
    for _ in range(WARM_UPS + 3):
        trainer.train_step()
    assert "operation not permitted" in capsys.readouterr().out
    assert trainer.step == WARM_UPS + 3
