"""Conformal thresholds: their closed form and coverage, and detectors in files."""

import json
import math

import numpy as np
import pytest
import torch
from known_energies import ACTION_SPEC, policy_of, two_wells

import ibc
from ibc import AllOf, ComposedPolicy, Controller, Detector, UserError, calibrate
from ibc.constraints import ActionRateLimit
from ibc.data import Episode
from ibc.detection import Elapsed, GradientResidual, Mahalanobis, NearestNeighbors
from ibc.detection.calibration import statistics
from ibc.detection.detector import (
    conformal_p_value,
    conformal_threshold,
    episodes_needed,
    running_mean,
)


def test_the_threshold_is_the_conformal_quantile():
    scores = np.arange(1.0, 100.0)  # 99 of them: ceil(100 * 0.95) = 95
    assert conformal_threshold(scores, 0.05) == 95
    assert conformal_threshold(scores[:19], 0.05) == 19
    assert conformal_threshold(scores[:18], 0.05) == math.inf
    assert [episodes_needed(a) for a in (0.05, 0.1, 0.01, 0.5)] == [19, 9, 99, 1]


def test_the_p_value_is_below_the_rate_exactly_above_the_threshold():
    scores = np.random.default_rng(0).normal(size=57)
    for rate in (0.05, 0.1, 0.31):
        threshold = conformal_threshold(scores, rate)
        for value in [*scores, *(scores + 1e-9), *(scores - 1e-9), 9.0]:
            assert (conformal_p_value(scores, value) <= rate) == (value > threshold)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_episodes_like_those_of_calibration_are_flagged_at_the_rate(rate):
    """Largest averages of episodes of random lengths: P(flagged) is floor((n + 1) rate) / (n + 1), here the rate."""
    source, n, repeats = np.random.default_rng(1), 39, 1000

    def largest():
        return running_mean(source.normal(size=source.integers(5, 30)), 3).max()

    flagged = 0
    for _ in range(repeats):
        calibration = np.array([largest() for _ in range(n)])
        flagged += largest() > conformal_threshold(calibration, rate)
    wanted = math.floor((n + 1) * rate) / (n + 1)
    assert flagged / repeats == pytest.approx(
        wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / repeats)
    )


def test_a_detector_of_another_policy_is_refused(tmp_path):
    one, other = (ibc.MSEPolicy(ACTION_SPEC, width=8, num_blocks=1).eval() for _ in range(2))
    episodes = [episode(seed) for seed in range(40)]
    made = calibrate(one, episodes, scores=[Elapsed()], false_alarms=0.1)
    made.save(tmp_path / "detector.npz")
    for detector in (made, Detector.load(tmp_path / "detector.npz")):
        Controller(one, detector=detector)
        with pytest.raises(UserError, match="calibrated for a policy of other weights"):
            Controller(other, detector=detector)


def test_the_average_is_over_the_last_decisions():
    np.testing.assert_allclose(running_mean(np.array([1.0, 2.0, 6.0, 8.0]), 3), [1, 1.5, 3, 16 / 3])


def episode(seed, length=6, shift=0.0):
    source = np.random.default_rng(seed)
    obs = (source.normal(size=(length + 1, 2)) + shift).astype(np.float32)
    return Episode(
        obs={"state": obs},
        action=np.zeros((length, 1), np.float32),
        reward=np.zeros(length, np.float32),
        success=np.ones(length, bool),
        terminated=True,
        truncated=False,
    )


@pytest.fixture(scope="module")
def calibrated():
    policy = policy_of(two_wells)
    scores = [NearestNeighbors(), Mahalanobis(), GradientResidual()]
    episodes = [episode(seed) for seed in range(40)]
    return policy, calibrate(policy, episodes, scores=scores, false_alarms=0.1, window=2)


def test_calibration_standardizes_by_one_half_and_takes_maxima_of_the_other(calibrated):
    _, detector = calibrated
    assert len(detector.calibration) == 20
    assert detector.threshold == detector.calibration[-2]
    assert detector.center.shape == (6, 3)
    number = np.arange(6)
    np.testing.assert_allclose(detector.value(detector.center, number), 0, atol=1e-12)
    shifted = detector.center + np.array([0, 2, 1]) * detector.scale
    np.testing.assert_allclose(detector.value(shifted, number), 1)
    np.testing.assert_allclose(detector.value(shifted[-1:], np.array([99])), 1)  # later than any


def test_a_composition_is_judged_with_what_its_terms_see():
    policy = policy_of(two_wells)
    composed = ComposedPolicy(policy.policy, AllOf(policy.energy, ActionRateLimit(0.5)))
    episodes = [episode(seed) for seed in range(40)]
    detector = calibrate(composed, episodes, scores=[GradientResidual()], false_alarms=0.1)
    made = Controller(composed, detector=detector)
    made.reset()
    for _ in range(3):
        made.step({"state": [0.0, 0.0]})
    assert 0 < made.confidence <= 1


def test_statistics_follow_the_time_in_episodes_except_those_of_a_clock():
    source = np.random.default_rng(0)
    episodes = [
        np.stack([100 + t + source.normal(size=len(t)), t], 1)
        for t in (np.arange(20.0) for _ in range(400))
    ]
    center, scale = statistics([GradientResidual(), Elapsed()], episodes)
    np.testing.assert_allclose(center[2:-2, 0], 102 + np.arange(16.0), atol=0.2)
    np.testing.assert_allclose(scale[2:-2, 0], math.sqrt(1 + 2), rtol=0.1)  # of five steps together
    np.testing.assert_allclose(center[:, 1], 9.5)
    np.testing.assert_allclose(scale[:, 1], np.arange(20.0).std())


def test_a_detector_comes_back_from_its_file(calibrated, tmp_path):
    _, detector = calibrated
    detector.save(tmp_path / "detector.npz")
    loaded = Detector.load(tmp_path / "detector.npz")
    np.testing.assert_array_equal(loaded.calibration, detector.calibration)
    np.testing.assert_array_equal(loaded.scale, detector.scale)
    assert (loaded.false_alarms, loaded.window) == (0.1, 2)
    assert [type(score) for score in loaded.scores] == [type(score) for score in detector.scores]
    assert torch.equal(loaded.scores[0].kept, detector.scores[0].kept)
    assert torch.equal(loaded.scores[1].whitening, detector.scores[1].whitening)


def rewritten(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(arrays["about"].tobytes())
    about |= changes.pop("about", {})
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays, **changes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no detector at"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "not a detector, or is damaged"),
        (lambda path: path.write_bytes(b"nothing"), "not a detector, or is damaged"),
        (lambda path: np.savez(path, about=np.array([object()])), "not a detector, or is damaged"),
        (lambda path: rewritten(path, about={"format_version": 9}), "detector format 9"),
        (lambda path: rewritten(path, about={"false_alarms": 0.01}), "needs 99"),
        (
            lambda path: rewritten(path, about={"scores": [{"_target_": "os.system"}]}),
            "the file names 'os.system'",
        ),
        (
            lambda path: rewritten(path, about={"scores": [{"_target_": "ibc.nn.ConvMaxPool"}]}),
            "not a detector, or is damaged",
        ),
    ],
)
def test_damaged_files_are_refused_in_a_line(calibrated, tmp_path, damage, message):
    path = tmp_path / "detector.npz"
    calibrated[1].save(path)
    damage(path)
    with pytest.raises(UserError, match=message) as refused:
        Detector.load(path)
    assert "\n" not in str(refused.value)


def test_a_byte_that_has_changed_is_harmless_or_refused(calibrated, tmp_path):
    path = tmp_path / "detector.npz"
    calibrated[1].save(path)
    data, refused = path.read_bytes(), 0
    for place in range(0, len(data), len(data) // 150):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            Detector.load(path)
        except UserError:
            refused += 1
    assert refused > 75


def test_settings_that_make_no_sense_are_refused():
    policy = policy_of(two_wells)
    episodes = [episode(seed) for seed in range(37)]
    with pytest.raises(UserError, match=r"37 episodes; false_alarms=0.05 needs 38"):
        calibrate(policy, episodes, scores=[Elapsed()])
    with pytest.raises(UserError, match="at least one score"):
        calibrate(policy, episodes, scores=[])
    with pytest.raises(UserError, match="false_alarms=1.5"):
        calibrate(policy, episodes, scores=[Elapsed()], false_alarms=1.5)
    with pytest.raises(UserError, match="window=0"):
        calibrate(policy, episodes, scores=[Elapsed()], window=0)
