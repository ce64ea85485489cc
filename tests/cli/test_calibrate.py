"""The command that calibrates a detector, as a user runs it."""

import pytest
from commands import assert_refused
from conftest import ROOT

from ibc import Detector, collect_demonstrations
from ibc.detection import ExpectedDuration, NearestNeighbors

pytestmark = pytest.mark.unchecked
CHECKPOINT = f"checkpoint={ROOT}/pretrained/particle_2d.pt"


@pytest.fixture
def demonstrations(tmp_path):
    env = {"id": "Particle-v0", "expert": {"_target_": "ibc_envs.particle.ParticleExpert"}}
    collect_demonstrations(env, tmp_path / "demos", num_episodes=6, first_seed=300_000)
    return tmp_path / "demos"


def test_a_detector_is_calibrated_on_demonstrations_and_on_own_successes(cli, demonstrations):
    rate = ["false_alarms=0.5", "window=2"]
    code, out, err = cli(
        "calibrate", CHECKPOINT, f"data.path={demonstrations}", "output=shown.npz",
        "scores=[NearestNeighbors,{_target_: ibc.detection.ExpectedDuration, num_neighbors: 3}]", *rate,
    )  # fmt: skip
    assert code == 0, err
    assert "6 demonstrations" in out
    assert "from 3 episodes" in out
    shown = Detector.load("shown.npz")
    assert [type(score) for score in shown.scores] == [NearestNeighbors, ExpectedDuration]
    assert shown.scores[1].num_neighbors == 3
    assert (shown.false_alarms, shown.window) == (0.5, 2)
    code, out, err = cli(
        "calibrate",
        CHECKPOINT,
        "output=own.npz",
        "num_episodes=4",
        "scores=[DenoisingError]",
        *rate,
    )
    assert code == 0, err
    assert "successes of 4 episodes" in out
    assert len(Detector.load("own.npz").calibration) >= 1


def test_demonstrations_are_read_as_those_of_the_training_run(cli, demonstrations):
    """Names of the data, and every second step."""
    renamed = "data.rename={pos_agent: position}"
    names = "data.obs_names=[position,vel_agent]"
    code, _, err = cli(
        "train", f"data.path={demonstrations}", renamed, names, "data.frame_skip=2", "policy=mse", "network.width=8",
        "trainer.num_steps=2", "trainer.batch_size=8", "run_dir=run", "video=false", "validation.every=2",
    )  # fmt: skip
    assert code == 0, err
    given = [
        "checkpoint=run/checkpoint.pt",
        f"data.path={demonstrations}",
        "output=d.npz",
        "false_alarms=0.5",
    ]
    longest = []
    for overrides in ([], ["data.frame_skip=1"]):
        code, _, err = cli("calibrate", *given, "scores=[ExpectedDuration]", *overrides)
        assert code == 0, err
        longest.append(float(Detector.load("d.npz").scores[0].remaining.max()))
    assert longest[1] == pytest.approx(2 * longest[0], abs=2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["num_episodes=3"], "false_alarms=0.05 needs 38"),
        (["scores=[Sense]"], "ibc.detection.Sense"),
        (["scores=[ibc.samplers.ProbabilityFlow]"], "no score"),
        (["false_alarms=2"], "false_alarms=2"),
        (["data.path=nowhere"], "no demonstrations at nowhere"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(cli, demonstrations, overrides, message):
    where = [] if overrides == ["data.path=nowhere"] else [f"data.path={demonstrations}"]
    assert_refused(cli("calibrate", CHECKPOINT, "output=d.npz", *where, *overrides), message)
