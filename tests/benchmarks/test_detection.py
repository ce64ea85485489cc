"""The measure of detectors on scores whose outcome is known, and the changed scenes."""

import json

import numpy as np
import pytest

from benchmarks.robot import detection
from benchmarks.tables.pages import table
from ibc.detection import Elapsed, GradientResidual
from ibc.env_config import EnvConfig
from ibc.environment import Environment


def test_auroc_by_hand():
    assert detection.auroc([2, 3], [1, 2]) == (1 + 0.5 + 1 + 1) / 4
    assert detection.auroc([], [1]) is None


#: Ten failures of 20 decisions of 0.2 s.
LEFT = [0.2 * np.arange(20, 0, -1)] * 10


def episodes(count, length, level, source):
    return [level + source.normal(size=(length, 1)) for _ in range(count)]


@pytest.fixture
def measured():
    source = np.random.default_rng(3)
    late = [np.zeros((20, 1)) for _ in range(10)]
    for one in late[:6]:
        one[10:] += 50  # six of ten are strange from the middle on
    for one in late[6:]:
        one[-2:] += 50  # and four just before the end
    return {
        "own successes": episodes(200, 20, 0, source),
        "successes": episodes(400, 20, 0, source),
        "failures": late,
        "shifted": episodes(20, 20, 30, source),
    }


def test_failures_are_in_time_if_flagged_before_the_last_second(measured):
    row = detection.outcome([GradientResidual()], [0], measured, "own successes", left=LEFT)
    assert row["early_rate"] == 0.6
    assert row["flagged_failures"] == 1
    assert row["warning_s"] == 2  # ten steps of 0.2 s
    assert detection.in_time(measured["failures"], LEFT, 1e9) == 0
    assert row["auroc_failures"] == 1
    assert row["auroc_shifted"] > 0.97
    assert row["flagged_shifted"] == row["flagged_shifted_same_length"] == 1
    assert row["auroc_shifted_same_length"] > 0.97
    assert 0.01 < row["false_alarm_rate"] < 0.1  # 5 % are wanted


def test_a_clock_flags_nothing_among_episodes_of_one_length(measured):
    clock = {group: [np.arange(20.0)[:, None] for _ in every] for group, every in measured.items()}
    row = detection.outcome([Elapsed()], [0], clock, "own successes", left=LEFT)
    assert row["auroc_failures"] == 0.5
    assert (row["false_alarm_rate"], row["early_rate"]) == (0, 0)


def test_the_table_says_where_there_were_no_failures(measured, tmp_path):
    rows = []
    for task in ("fails", "succeeds"):
        groups = {**measured, "failures": measured["failures"] if task == "fails" else []}
        left = LEFT if groups["failures"] else []
        row = detection.outcome([GradientResidual()], [0], groups, "own successes", left)
        row |= {"warning_s": 1.0, "task": task, "calibration": "own successes"}
        for shift in ("mass", "camera") if task == "fails" else ("mass",):
            row |= {"shift": shift, "size": 0.5, "auroc_shifted": 0.7 if shift == "camera" else 0.9}
            row |= {"auroc_shifted_same_length": 0.6, "success_shifted": 0.25}
            rows += [{**row, "score": name} for name in detection.DRAWN]
    output = tmp_path / "detection.json"
    head = {"command": "detect", "false_alarms": 0.05, "window": 3}
    output.write_text(json.dumps({**head, "rows": rows}))
    text = table(output)
    assert "| energy | 1.00 (" in text
    assert "% false alarms |" in text
    assert text.count("10 failures of 410 episodes in fails") == 1
    assert "| score | fails | succeeds |" in text
    assert "| score | fails: mass 0.5 | fails: camera 0.5 | succeeds: mass 0.5 |" in text
    assert "| energy | 0.90 (0.60), 100% (100%) | 0.70 (0.60), 100% (100%) | 0.90 (0.60)" in text
    assert "fails, camera: 25%; succeeds, mass: 25%." in text
    assert "camera: how far the camera is moved aside (m)" in text
    assert detection.picture(rows).startswith(b"\x89PNG")


def changed(env_id, shift, size, **kwargs):
    config = {"id": "Shifted-v0", "env_id": env_id, "shift": shift, "size": size, **kwargs}
    return Environment(EnvConfig.from_mapping(config))


@pytest.mark.unchecked
def test_goals_masses_and_friction_differ_by_what_is_said():
    plain = Environment(EnvConfig(id="BlockPush-v0"))
    moved = changed("BlockPush-v0", "goal", 0.15)
    before, after = plain.reset(3), moved.reset(3)
    np.testing.assert_allclose(
        after["target_translation"] - before["target_translation"], [0.15, 0], atol=1e-6
    )
    np.testing.assert_allclose(after["block_translation"], before["block_translation"])
    heavy = changed("BlockPush-v0", "mass", 30.0)
    mass, usual = (one.gym_env.unwrapped.simulation.model.body_mass for one in (heavy, plain))
    assert sorted(set(np.round(mass / np.maximum(usual, 1e-9), 3))) == [0, 1, 30]
    smooth = changed("BlockPush-v0", "friction", 0.1)
    ways = []
    for one in (plain, smooth):
        one.reset(3)
        simulation = one.gym_env.unwrapped.simulation
        start = simulation.blocks[0, 0]
        simulation.data.qvel[simulation.model.joint("block0").dofadr[0]] = 0.5
        simulation.move(simulation.setpoint)
        ways.append(simulation.blocks[0, 0] - start)
    # A block slides on over v^2 / (2 friction g), or not yet all of it in 0.1 s.
    assert ways[0] == pytest.approx(0.5**2 / (2 * 9.81), rel=0.1)
    assert ways[1] == pytest.approx(0.5 * 0.1 - 0.1 * 9.81 * 0.1**2 / 2, rel=0.1)


@pytest.mark.unchecked
def test_the_camera_is_moved_and_a_box_stands_beside_the_ways():
    """What is on the table is where it was; the picture of it differs."""
    kwargs = {"pixels": True, "image_size": (90, 120)}
    plain = Environment(EnvConfig(id="BlockPush-v0", kwargs=kwargs))
    moved, crowded = (
        changed("BlockPush-v0", shift, size, **kwargs)
        for shift, size in (("camera", 0.05), ("object", 1))
    )
    before, aside, beside = (one.reset(3) for one in (plain, moved, crowded))
    for name in set(before) - {"rgb"}:
        np.testing.assert_array_equal(aside[name], before[name])
        np.testing.assert_array_equal(beside[name], before[name])

    def middle(obs, red, blue):
        """The column of the pixels that have these colors and no green."""
        found = obs["rgb"].astype(int)
        is_color = (found[..., ::2] > (red, blue)).all(-1) & (found[..., 1] < 80)
        return np.nonzero(is_color)[1].mean() if is_color.any() else None

    assert middle(before, 150, -1) - middle(aside, 150, -1) == pytest.approx(5, abs=2)
    assert middle(before, 80, 100) is None
    assert middle(beside, 80, 100) == pytest.approx(60, abs=2)
    assert moved.step(np.zeros(2, np.float32))[0]["rgb"].shape == (90, 120, 3)


def test_late_actions_are_those_of_some_steps_before():
    plain, late = Environment(EnvConfig(id="Particle-v0")), changed("Particle-v0", "delay", 2)
    plain.reset(0), late.reset(0)
    actions = [np.float32([0.1 * i, 0.5]) for i in range(5)]
    for action in [actions[0], actions[0], *actions[:3]]:
        expected = plain.step(action)[0]
    for action in actions:
        seen = late.step(action)[0]
    np.testing.assert_allclose(seen["pos_agent"], expected["pos_agent"])
