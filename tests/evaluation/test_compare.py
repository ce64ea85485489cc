"""Paired comparisons: closed forms, coverage, and the command's exit codes."""

import json
import math
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from small import PARTICLE

from ibc.checkpoint import load_checkpoint, save_checkpoint
from ibc.cli.app import name_positional, run
from ibc.cli.compare import format_comparison
from ibc.errors import UserError
from ibc.evaluation.compare import (
    bootstrap_interval,
    compare_evaluations,
    mcnemar,
    sequence_interval,
)
from ibc.policies import ImplicitPolicy


def evaluation(successes, first_seed=0, **others):
    rows = [
        {"seed": first_seed + i, "success": bool(success), "return": 2.0 * success}
        for i, success in enumerate(successes)
    ]
    return {"episodes": rows, **others}


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 6) == mcnemar(6, 0) == pytest.approx(2 / 64)
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)


def test_pairs_by_seed():
    """Rows are matched by their seeds, whatever their order; seeds of one side alone are left out."""
    first = evaluation([1, 0, 1, 0])
    second = evaluation([1, 1, 1, 0, 1])
    second["episodes"].reverse()
    found = compare_evaluations([first], [second])
    assert (found.num_seeds, found.first, found.second) == (4, 0.5, 0.75)
    assert (found.only_first, found.only_second, found.mcnemar_p) == (0, 1, 1.0)
    low, high = found.interval
    assert (low, high) == (0, 0.75)  # one discordant pair of four
    assert found.verdict() == "undecided"


def test_interval_is_the_normal_one_of_paired_differences():
    rng = np.random.default_rng(1)
    a = rng.normal(size=400)
    b = a + rng.normal(0.5, 0.3, 400)  # strongly correlated: pairing makes the interval narrow
    low, high = bootstrap_interval(a[None], b[None])
    half = 1.96 * np.std(b - a, ddof=1) / math.sqrt(400)
    assert (low + high) / 2 == pytest.approx(np.mean(b - a), abs=half / 10)
    assert high - low == pytest.approx(2 * half, rel=0.05)


def test_interval_includes_the_chance_of_training():
    """Runs that differ from each other widen the interval, however many episodes they are evaluated on."""
    a = np.full((3, 200), 0.5)
    b = a + np.array([[-0.2], [0.1], [0.4]])
    low, high = bootstrap_interval(a, b)
    assert low < 0 < high
    spread = np.std([-0.2, 0.1, 0.4]) / math.sqrt(3)  # of a mean over resampled runs
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.15)


@pytest.mark.parametrize(("spread", "expected"), [(0.1, 0.9), (0.2, 5 / 6)])
def test_coverage_with_three_training_seeds_is_what_the_docstring_says(
    spread, expected, monkeypatch
):
    monkeypatch.setitem(bootstrap_interval.__globals__, "NUM_RESAMPLES", 1000)
    rng = np.random.default_rng(5)
    covered, trials = 0, 300
    for _ in range(trials):
        rates = np.clip(0.5 + spread * rng.normal(size=(2, 3, 1)), 0, 1)
        first, second = (rng.random((2, 3, 100)) < rates).astype(float)
        low, high = bootstrap_interval(first, second)
        covered += low <= 0 <= high
    assert covered / trials == pytest.approx(expected, abs=0.05)


def test_sequence_interval_holds_at_all_times():
    """Looking after each block of 10 misleads in at most 5 % of equal pairs; a fixed interval, far more often."""
    rng = np.random.default_rng(2)
    misled, misled_fixed = 0, 0
    for _ in range(300):
        differences = rng.choice([-1.0, 0, 0, 1.0], 200)
        looks = range(20, 201, 10)
        intervals = [sequence_interval(differences[:n].tolist(), 200) for n in looks]
        misled += any(low > 0 or high < 0 for low, high in intervals)
        z = [abs(differences[:n].mean()) / differences[:n].std() * math.sqrt(n) for n in looks]
        misled_fixed += max(z) > 1.96
    assert misled <= 0.05 * 300 + 3 * math.sqrt(300 * 0.05 * 0.95)
    assert misled_fixed > 0.1 * 300


def test_sequence_interval_finds_a_difference():
    differences = np.random.default_rng(3).choice([0.0, 1.0], 100)
    low, high = sequence_interval(differences.tolist(), 100)
    assert 0 < low < differences.mean() < high
    assert sequence_interval([1.0] * 50, 100) == (-math.inf, math.inf)
    assert sequence_interval([1.0, 1.1, 0.9], 100) == (-math.inf, math.inf)


def test_refusals():
    first = evaluation([1, 0])
    with pytest.raises(UserError, match="the episodes have return, success"):
        compare_evaluations([first], [first], "speed")
    with pytest.raises(UserError, match="share no seed"):
        compare_evaluations([first], [evaluation([1], first_seed=9)])
    one, other = (evaluation([1, 0], env_id=name) for name in ("Particle-v0", "BlockPush-v0"))
    with pytest.raises(UserError, match="different environments: BlockPush-v0, Particle-v0"):
        compare_evaluations([one], [first, other])
    with pytest.raises(UserError, match="no rows of episodes"):
        compare_evaluations([first], [{"rows": []}])


@pytest.mark.parametrize(
    ("second", "extra", "code"),
    [
        ([1] * 20, [], 0),
        ([1] * 10 + [0] * 10, [], 1),
        ([1] * 10 + [0] * 10, ["margin=0.9"], 0),
    ],
)
def test_command_exits_with_one_where_the_second_is_worse(
    tmp_path, monkeypatch, capsys, second, extra, code
):
    (tmp_path / "a file.json").write_text(json.dumps(evaluation([1] * 20)))
    (tmp_path / "b.json").write_text(json.dumps(evaluation(second)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["ibc compare", "a file.json", "b.json", "output=c.json", *extra]
    )
    try:
        run("compare")
        found = 0
    except SystemExit as exit_:
        found = exit_.code
    assert found == code, capsys.readouterr().err
    assert json.loads((tmp_path / "c.json").read_text())["num_seeds"] == 20


def test_no_interval_is_null_in_the_file_and_said(tmp_path, monkeypatch, capsys):
    ImplicitPolicy(PARTICLE).save(tmp_path / "a.pt")
    checkpoint = load_checkpoint(tmp_path / "a.pt")
    env = {"id": "Particle-v0", "n_dim": 2, "max_episode_steps": 3}
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, config={"env": env}))
    output = tmp_path / "c.json"
    options = ["num_episodes=2", "num_envs=2", "early_stop=true", f"output={output}"]
    monkeypatch.setattr(sys, "argv", ["ibc compare", *[str(tmp_path / "a.pt")] * 2, *options])
    run("compare")
    assert "undecided: no interval" in capsys.readouterr().out
    content = json.loads(output.read_text(), parse_constant=pytest.fail)
    assert content["interval"] == [None, None]


def test_a_policy_that_was_saved_without_its_environment_is_refused_at_once(
    tmp_path, monkeypatch, capsys
):
    ImplicitPolicy(PARTICLE).save(tmp_path / "a.pt")
    monkeypatch.setattr(sys, "argv", ["ibc compare", *[str(tmp_path / "a.pt")] * 2])
    with pytest.raises(SystemExit, match="2"):
        run("compare")
    assert "was saved without its environment" in capsys.readouterr().err


def test_damaged_file_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.json").write_text('{\n "episodes": [}')
    monkeypatch.setattr(sys, "argv", ["ibc compare", *[str(tmp_path / "a.json")] * 2])
    with pytest.raises(SystemExit, match="2"):
        run("compare")
    assert "a.json, line 2:" in capsys.readouterr().err


def test_positional_arguments_become_keys():
    given = ["--config-dir", "mine", "a.pt", "--cfg", "job"]
    assert name_positional(given, ["first"]) == [
        "--config-dir",
        "mine",
        "first='a.pt'",
        "--cfg",
        "job",
    ]
    assert name_positional(["a's.pt", "seed=1", "-m", "b.pt", "c"], ["first", "second"]) == [
        "first='a\\'s.pt'",
        "seed=1",
        "-m",
        "second='b.pt'",
        "c",
    ]


def test_what_differs_between_environments_is_said():
    """Particles of two sizes, or states and pictures: whether it is meant, the reader knows."""
    plane, space = (
        {"env_id": "Particle-v0", "env": {"n_dim": n, "success_when": "last"}} for n in (2, 16)
    )
    found = compare_evaluations([evaluation([1, 0], **plane)], [evaluation([1, 1], **space)])
    assert found.task_differences == ["env.n_dim: 2, 16"]
    told = format_comparison(found, "undecided", "a", "b")
    assert "the environments differ: env.n_dim: 2, 16" in told
    default = {"env_id": "Particle-v0", "env": {"n_dim": 2, "max_episode_steps": None}}
    for other in (
        plane,
        default,
        {},
    ):  # the same, and an evaluation of an edition that did not say it
        same = compare_evaluations([evaluation([1, 0], **plane)], [evaluation([1], **other)])
        assert not same.task_differences


def test_an_early_stop_compares_no_different_tasks(tmp_path, monkeypatch, capsys):
    ImplicitPolicy(PARTICLE).save(tmp_path / "a.pt")
    checkpoint = load_checkpoint(tmp_path / "a.pt")
    for name, env_id in (("a", "Particle-v0"), ("b", "ParticleAgain-v0")):
        env = {"id": env_id, "n_dim": 2, "max_episode_steps": 3}
        save_checkpoint(tmp_path / f"{name}.pt", replace(checkpoint, config={"env": env}))
    if "ParticleAgain-v0" not in gym.registry:
        gym.register("ParticleAgain-v0", gym.spec("Particle-v0").entry_point)
    paths = [str(tmp_path / f"{name}.pt") for name in "ab"]
    options = ["num_episodes=2", "num_envs=2", "early_stop=true"]
    monkeypatch.setattr(sys, "argv", ["ibc compare", *paths, *options])
    with pytest.raises(SystemExit, match="2"):
        run("compare")
    assert "are of different environments: Particle-v0, ParticleAgain-v0" in capsys.readouterr().err
