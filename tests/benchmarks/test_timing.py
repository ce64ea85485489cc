"""The yardstick measures the same thing: both implementations agree on energies, losses, penalties and chains."""

import json
import subprocess
import sys

import pytest
import torch
from known_energies import run

from benchmarks.config import compose
from benchmarks.timing import closed_loop, recipes, workloads
from benchmarks.timing.benchmark import benchmark
from ibc.energies import UnitSpace, action_gradient
from ibc.losses import GradientPenalty
from ibc.losses.info_nce import info_nce
from ibc.samplers import IBCLangevin
from tests import plain

pytestmark = pytest.mark.unchecked


class Zeros:
    """Noise without noise."""

    def uniform(self, *shape):
        return torch.zeros(shape)

    def normal(self, *shape):
        return torch.zeros(shape)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return workloads.Pair(plain, 3, torch.device("cpu"), width=32, num_blocks=2)


def bound(pair):
    return pair.policy.energy.bind({"state": pair.obs.unsqueeze(1)})


def test_energies_agree(pair):
    action = torch.rand(workloads.BATCH, 5, 3)
    torch.testing.assert_close(bound(pair)(action), pair.plain(pair.obs, action))


def test_gradients_and_penalty_agree(pair):
    action = torch.rand(workloads.BATCH, 5, 3)
    torch.testing.assert_close(
        action_gradient(bound(pair), action), plain.plain_gradient(pair.plain, pair.obs, action)
    )
    space = UnitSpace(bound(pair), pair.policy.bounds)
    ours = GradientPenalty(margin=1e-3)(space, space.bounds.to_unit(action), pair.rng)
    theirs = plain.plain_gradient_penalty(pair.plain, pair.obs, action, margin=1e-3)
    assert theirs > 0
    torch.testing.assert_close(ours, theirs)


def test_losses_agree(pair):
    negatives = torch.rand(workloads.BATCH, 5, 3)
    candidates = torch.cat([pair.action.unsqueeze(1), negatives], dim=1)
    torch.testing.assert_close(
        info_nce(bound(pair)(candidates)).mean(),
        plain.plain_info_nce(pair.plain, pair.obs, pair.action, negatives),
    )


def test_chains_agree(pair, monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(*shape))
    start = torch.rand(workloads.BATCH, 5, 3) * 2 - 1
    theirs = plain.plain_langevin(
        pair.plain, pair.obs, start, low=pair.low, high=pair.high,
        num_iterations=20, step_init=0.5, step_final=1e-3, generator=None,
    )  # fmt: skip
    chain = IBCLangevin(num_candidates=5, num_iterations=20, step_init=0.5, step_final=1e-3)
    ours = run(chain, bound(pair), start, pair.policy.bounds, Zeros()).action
    assert (theirs - start).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs)


def test_plain_dfo_finds_a_minimum():
    def bowl(obs, action):
        return 100 * (action - 0.3).square().sum(-1)

    found = plain.plain_dfo(
        bowl, torch.zeros(1, 2), low=-torch.ones(2), high=torch.ones(2), num_candidates=2048,
        num_iterations=3, std=0.33, shrink=0.5, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    torch.testing.assert_close(found, torch.full((2,), 0.3), atol=0.03, rtol=0)


@pytest.mark.parametrize("name", workloads.NAMES)
def test_every_workload_runs_on_both_sides(name, monkeypatch):
    for constant in ("DFO_CANDIDATES", "UNIFORM_NEGATIVES", "LANGEVIN_CANDIDATES", "BATCH"):
        monkeypatch.setattr(workloads, constant, 16)
    monkeypatch.setitem(workloads.CHAIN, "num_iterations", 3)
    work = workloads.make_workload(name, plain, torch.device("cpu"))
    work.fast()
    work.plain()
    assert work.products > 0


def test_the_command_writes_one_object_a_row(tmp_path, monkeypatch):
    for constant in ("DFO_CANDIDATES", "UNIFORM_NEGATIVES", "LANGEVIN_CANDIDATES", "BATCH"):
        monkeypatch.setattr(workloads, constant, 16)
    whole = closed_loop.rollout
    monkeypatch.setattr(closed_loop, "rollout", lambda *args: whole(*args[:2], args[2][:1]))
    output = tmp_path / "benchmark.json"
    rows = "rows=[W2,accuracy_2d,env_block_push,rollout_1]"
    benchmark(compose("benchmark", [rows, "repeats=1", f"output={output}"]))
    rows = json.loads(output.read_text())["rows"]
    assert [row["name"] for row in rows] == ["W2", "accuracy_2d", "env_block_push", "rollout_1"]
    keys = {"name", "ms", "plain_ms", "ratio", "fraction_of_matmul", "peak_memory_mb"}
    assert all(keys <= set(row) for row in rows)
    assert rows[0]["ratio"] == pytest.approx(rows[0]["plain_ms"] / rows[0]["ms"])
    assert rows[1]["same_best"] > 0.5
    assert rows[1]["action_difference"]["mean"] < 0.01
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_row_is_named():
    command = [sys.executable, "scripts/benchmark.py", "rows=[W9]"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "W9" in run.stderr
    assert "W1" in run.stderr


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_train_what_they_say(name, monkeypatch):
    monkeypatch.setattr(recipes, "SECONDS", 0.01)
    monkeypatch.setattr(recipes, "WARMUP", 1)
    row = recipes.time_training(name, torch.device("cpu"))
    assert row["steps_per_second"] == pytest.approx(1e3 / row["ms"])
    trainer = recipes.make_trainer(name, torch.device("cpu"))
    spec, recipe = trainer.policy.spec, recipes.RECIPES[name]
    assert (spec.obs["seen"], spec.action_dim, spec.action_horizon) == (
        recipe.obs,
        recipe.action_dim,
        recipe.horizon,
    )
