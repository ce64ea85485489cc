"""The choice of a search for a time: which searches there are, what is measured of them, which one is chosen."""

import json
import sys

import pytest
import torch
from small import PARTICLE

from ibc.cli.app import run
from ibc.component import describe
from ibc.construct import construct
from ibc.env_config import EnvConfig
from ibc.errors import UserError
from ibc.evaluation import budget as module
from ibc.evaluation.budget import BudgetRow, budget, choose, numbers, scaled
from ibc.policies import ImplicitPolicy
from ibc.samplers import DFO, Chain, GradientDescent

pytestmark = pytest.mark.unchecked


def row(latency, success, error=0.0):
    return BudgetRow({}, 1, 1, latency, error, success)


def chain():
    dfo = DFO(num_candidates=64, num_iterations=3, noise_std=0.1, shrink=0.5)
    descent = GradientDescent(num_candidates=8, num_iterations=10, step_init=1.0, step_final=0.1)
    return Chain([dfo, descent])


def test_every_part_of_a_chain_is_scaled():
    found = scaled(describe(chain()), 0.25, 2.0)
    assert found == {
        "samplers.0.num_candidates": 16,
        "samplers.0.num_iterations": 6,
        "samplers.1.num_candidates": 2,
        "samplers.1.num_iterations": 20,
    }
    assert set(scaled(describe(chain()), 0.001, 0.001).values()) == {1}
    assert numbers(describe(chain())) == (64, 3)
    with pytest.raises(UserError, match="no number of candidates"):
        scaled({"_target_": "x", "step_size": 0.1}, 1.0, 1.0)


def test_the_best_search_within_the_time_is_chosen():
    rows = [row(5, 0.7), row(9, 0.9, 0.2), row(9.5, 0.9, 0.1), row(30, 1.0), row(8, None)]
    assert choose(rows, 10) is rows[2]
    assert choose(rows, 6) is rows[0]
    assert choose(rows, 100) is rows[3]
    with pytest.raises(UserError, match=r"the fastest search takes 5\.0 ms"):
        choose(rows, 1)


def particle_policy():
    return ImplicitPolicy(PARTICLE, sampler=chain()).eval()


def test_measures_every_search_and_keeps_the_policy(monkeypatch):
    monkeypatch.setattr(module, "CANDIDATE_FACTORS", (0.5, 1.0))
    monkeypatch.setattr(module, "ITERATION_FACTORS", (1.0,))
    monkeypatch.setattr(module, "NUM_DECISIONS", 3)
    torch.manual_seed(0)
    policy = particle_policy()
    before = policy.sampler
    env = EnvConfig(id="Particle-v0", max_episode_steps=5)
    rows = budget(policy, env, milliseconds=1e6, seeds=range(300_000, 300_002), num_envs=2)
    assert policy.sampler is before
    assert "act" not in vars(policy)
    assert [r.num_candidates for r in rows] == [32, 64]
    assert rows[-1].action_error == 0.0  # compared with itself
    assert all(r.success_rate is not None for r in rows)
    slow = budget(policy, env, milliseconds=1e-9, seeds=range(300_000, 300_002), num_envs=2)
    assert [r.success_rate for r in slow] == [None, None]


def test_command_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "CANDIDATE_FACTORS", (1.0,))
    monkeypatch.setattr(module, "ITERATION_FACTORS", (0.5, 1.0))
    monkeypatch.setattr(module, "NUM_DECISIONS", 2)
    monkeypatch.chdir(tmp_path)
    particle_policy().save("policy.pt")
    arguments = ["checkpoint=policy.pt", "env.id=Particle-v0", "env.max_episode_steps=5"]
    more = ["ms=100000", "num_episodes=2", "image=b.png", "output=b.json"]
    monkeypatch.setattr(sys, "argv", ["ibc budget", *arguments, *more])
    run("budget")
    result = json.loads((tmp_path / "b.json").read_text())
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert len(result["rows"]) == 2
    chosen = " ".join(f"policy.sampler.{k}={v}" for k, v in result["chosen"]["overrides"].items())
    assert f"chosen for 100000 ms: {chosen}" in capsys.readouterr().out
    slow = ["ms=0.000001", "sampler=dfo", "num_episodes=2", "output=slow.json"]
    monkeypatch.setattr(sys, "argv", ["ibc budget", *arguments, *slow])
    with pytest.raises(SystemExit, match="2"):
        run("budget")
    kept = json.loads((tmp_path / "slow.json").read_text())
    assert len(kept["rows"]) == 2
    assert kept["chosen"] is None


def test_overrides_that_are_printed_name_the_search_they_belong_to(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "CANDIDATE_FACTORS", (1.0,))
    monkeypatch.setattr(module, "ITERATION_FACTORS", (0.5,))
    monkeypatch.setattr(module, "NUM_DECISIONS", 2)
    particle_policy().save(tmp_path / "policy.pt")
    chosen = ["sampler=dfo_then_descent", "env.id=Particle-v0", "env.max_episode_steps=5"]
    more = [f"checkpoint={tmp_path / 'policy.pt'}", "ms=100000", "num_episodes=2"]
    monkeypatch.setattr(sys, "argv", ["ibc budget", *chosen, *more])
    run("budget")
    printed = capsys.readouterr().out
    assert "ms: sampler=dfo_then_descent policy.sampler.samplers.0.num_candidates=" in printed
    assert construct(describe(chain()), "sampler").samplers[0].num_candidates == 64
