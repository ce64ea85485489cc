"""Measures on held-out demonstrations: what they are, that they disturb nothing, and what is kept of the best."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import random_episode
from small import CPU, config_of

from ibc.cli.config import compose
from ibc.cli.train import train
from ibc.construct import construct
from ibc.data import WindowDataset
from ibc.data.transforms import split_episodes
from ibc.errors import UserError
from ibc.evaluation import collect_demonstrations
from ibc.losses import InfoNCE, ReplayedNegatives
from ibc.policies import MSEPolicy
from ibc.policies.loading import make_policy
from ibc.samplers import IBCLangevin
from ibc.training import Trainer
from ibc.training.loggers import read_metrics
from ibc.training.validation import BATCH, CANDIDATES, MEASURES, Best, _span

pytestmark = pytest.mark.unchecked


def make_trainer(name, spec, episodes, **kwargs):
    torch.manual_seed(0)
    config = config_of(name)
    shown, held_out = (WindowDataset(part, spec, CPU) for part in split_episodes(episodes, 0.3))
    return Trainer(
        make_policy(config["policy"], spec),
        shown,
        loss=construct(config["loss"], "loss"),
        batch_size=8,
        num_steps=20,
        held_out=held_out,
        **kwargs,
    )


def test_the_action_error_of_a_known_policy(spec, episodes):
    """A policy that always says zero is wrong by the size of the actions."""
    trainer = make_trainer("mse", spec, episodes)
    trainer.policy.act_flat = lambda obs, rng: torch.zeros(
        len(next(iter(obs.values()))), spec.action_size
    )
    found = trainer.held_out_measures()
    action = torch.from_numpy(
        np.concatenate([e.action for e in split_episodes(episodes, 0.3)[1]])
    ).clamp(torch.tensor(spec.action_low), torch.tensor(spec.action_high))
    assert found["action_error"] == pytest.approx(action.abs().mean().item(), rel=1e-5)
    span = action.amax(0) - action.amin(0)
    assert found["action_error_of_range"] == pytest.approx(
        (action.abs() / span).mean().item(), rel=1e-5
    )


def test_chains_of_the_training_are_not_moved(spec, episodes):
    sampler = IBCLangevin(num_candidates=4, num_iterations=2, step_init=0.1, step_final=0.1)
    negatives = ReplayedNegatives(4, sampler, table_size=8)
    trainer = make_trainer("implicit_info_nce", spec, episodes)
    trainer.loss = InfoNCE(negatives=[negatives])
    trainer.train_step()
    before = negatives.chains.clone()
    trainer.held_out_measures()
    torch.testing.assert_close(negatives.chains, before, rtol=0, atol=0, equal_nan=True)


def test_the_range_of_a_dimension_that_hardly_changes_in_held_out_data():
    """A gripper that stays closed there: its range in the training data, and in neither that of the unit cube."""

    class Actions:
        def __init__(self, *ranges):
            self.low, self.high = torch.tensor(ranges).T

        def action_range(self):
            return self.low, self.high

    held_out = Actions((0.0, 1.0), (1.0, 1.0), (0.5, 0.501), (3.0, 3.0))
    shown = Actions((0.0, 2.0), (0.0, 1.0), (0.0, 4.0), (3.0, 3.0))
    torch.testing.assert_close(_span(held_out, shown), torch.tensor([1.0, 1.0, 4.0, 2.0]))


def test_the_rank_of_an_energy_that_prefers_what_was_shown(spec, episodes, monkeypatch):
    """Twice the distance from the demonstrated action puts it first, and its negative last."""
    from ibc.training import validation

    trainer = make_trainer("implicit", spec, episodes)
    for sign, rank in ((1.0, 0.0), (-1.0, 1.0)):

        def energy(self, unit, sign=sign):
            return sign * (unit - unit[:, :1]).abs().sum(-1)

        monkeypatch.setattr(validation.UnitSpace, "energy", energy)
        obs = trainer.held_out.batch(torch.arange(4))
        found = validation._rank(trainer.policy, obs.obs, obs.action, Uniform())
        assert found.item() == rank


class Uniform:
    def uniform(self, *shape):
        assert shape[1] == CANDIDATES
        return torch.rand(*shape)


@pytest.mark.parametrize("name", ["implicit", "mdn", "implicit_preconditioned"])
def test_measuring_does_not_change_the_run(name, spec, episodes):
    left_alone, measured = (make_trainer(name, spec, episodes, ema_decay=0.5) for _ in range(2))
    for _ in range(3):
        torch.manual_seed(left_alone.step)
        left_alone.train_step()
        torch.manual_seed(measured.step)
        measured.train_step()
        found = measured.held_out_measures()
        assert {"loss", "action_error", "action_error_of_range"} <= set(found)
        assert ("rank" in found) == name.startswith("implicit")
        assert ("log_likelihood" in found) == (name == "mdn")
        assert found == measured.held_out_measures()
    for key, value in left_alone.weights().items():
        assert torch.equal(value, measured.weights()[key])


def test_neighbors_are_measured_on_any_number_of_steps(spec):
    """Of which the last one alone would have no neighbor."""
    shown, held_out = (
        WindowDataset([random_episode(spec, length, seed=length)], spec)
        for length in (40, BATCH + 1)
    )
    policy = make_policy(config_of("nearest")["policy"], spec)
    trainer = Trainer(policy, shown, batch_size=8, num_steps=1, held_out=held_out)
    assert trainer.held_out_measures()["loss"] >= 0


def test_the_best_is_remembered():
    best = Best("success_rate", patience=2)
    assert [best.update(i, {"success_rate": x}) for i, x in enumerate((0.1, 0.5, 0.4))] == [
        True,
        True,
        False,
    ]
    again = Best("success_rate", patience=2)
    again.load_state_dict(best.state_dict())
    assert not again.is_over
    assert not again.update(3, {"success_rate": 0.5})
    assert again.is_over
    assert (again.value, again.step) == (0.5, 1)
    other = Best("loss", patience=1)
    other.load_state_dict(best.state_dict())
    assert other.update(4, {"loss": 2.0})  # of which 0.5 of something else says nothing
    with pytest.raises(UserError, match="validation.measure=rank; this policy has loss"):
        Best("rank").update(0, {"loss": 1.0})


@pytest.mark.parametrize("measure", MEASURES)
def test_which_way_is_better(measure):
    best = Best(measure)
    values = {0: 1.0, 1: 2.0, 2: 0.5}
    kept = [step for step, x in values.items() if best.update(step, {measure: x})]
    is_rising = measure in ("success_rate", "return", "log_likelihood")
    assert kept == ([0, 1] if is_rising else [0, 2])


def test_any_number_is_better_than_none():
    best = Best("loss", patience=3)
    values = (math.nan, math.nan, 3.0, math.nan, 2.0)
    assert [best.update(i, {"loss": x}) for i, x in enumerate(values)] == [
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(("holdout", "count"), [(0.0, 0), (0.01, 1), (0.3, 3)])
def test_a_split_by_episodes(holdout, count, spec):
    episodes = [random_episode(spec, 5, seed=i) for i in range(10)]
    shown, held_out = split_episodes(episodes, holdout)
    assert (len(shown), len(held_out)) == (10 - count, count)
    assert {id(e) for e in shown + held_out} == {id(e) for e in episodes}


@pytest.mark.parametrize("holdout", [-0.1, 1.0, 0.99])
def test_a_split_that_leaves_nothing(holdout, spec):
    with pytest.raises(UserError, match="data.holdout"):
        split_episodes([random_episode(spec, 5, seed=0)], holdout)


def test_training_from_data_alone(tmp_path, monkeypatch, whole_report):
    """Limits from the data, no closed loop, no film: held-out measures, the best policy, and a page of them."""
    monkeypatch.chdir(tmp_path)
    collect_demonstrations(
        compose("train", ["env=particle"])["env"],
        tmp_path / "demos",
        num_episodes=10,
    )
    options = [
        "data.path=demos",
        "trainer.num_steps=20",
        "trainer.batch_size=8",
        "network.width=16",
    ]
    config = compose(
        "train", [*options, "run_dir=run", "validation.every=10", "validation.patience=1"]
    )
    train(config)
    found = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert set(found) == {"about", "held_out"}
    assert found["about"]["data"]["held_out_episodes"] == 1
    assert found["about"]["data"]["num_episodes"] == 9
    assert (tmp_path / "run/checkpoint_best.pt").exists()
    assert [r["step"] for r in read_metrics(tmp_path / "run") if "held_out/loss" in r] == [9, 19]
    page = (tmp_path / "run/report.html").read_text()
    assert "no environment" in page
    assert page.count("<img") == 1 + 2 + 4 + 4, "the loss, its terms, four measures, four energies"
    with pytest.raises(UserError, match=r"env\.\* has no effect"):
        train(compose("train", [*options, "run_dir=other", "env.max_episode_steps=5"]))


def test_a_policy_for_other_data_is_refused_before_it_learns(spec, episodes):
    policy = MSEPolicy(replace(spec, obs_horizon=spec.obs_horizon + 1), width=8, num_blocks=1)
    with pytest.raises(UserError, match=r"was made for obs_horizon=\d; the data has \d"):
        Trainer(policy, WindowDataset(episodes, spec))
    with pytest.raises(UserError, match="num_steps=0; it must be at least 1"):
        Trainer(MSEPolicy(spec, width=8), WindowDataset(episodes, spec), num_steps=0)
