"""Classes of a package outside this project: trained, saved, and loaded in a new process."""

import os
import subprocess
import sys

import pytest

from ibc.cli.app import main

PACKAGE = '''
"""A robot's own parts."""

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import ibc
from ibc.losses import DenoisingScoreMatching
from ibc.samplers import GradientDescent


class Encoder(ibc.ObsEncoder):
    """Linear features of the observation, without this project's own."""

    def __init__(self, *, size=8):
        super().__init__(num_gates=0)
        self.size = size

    def build(self, spec):
        super().build(spec)
        self.linear = nn.Linear(self.feature_size, self.size)
        self.feature_size = self.size

    def forward(self, obs):
        return torch.tanh(self.linear(super().forward(obs)))


class Energy(ibc.MLPEnergy):
    """An energy of the robot's own."""


class Loss(DenoisingScoreMatching):
    """A loss of the robot's own."""


class Sampler(GradientDescent):
    """A search of the robot's own."""


class LineEnv(gym.Env):
    """Go to the goal on a line."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.state, {}

    def step(self, action):
        self.state = np.array([action[0], self.state[1]], np.float32)
        done = bool(abs(self.state[0] - self.state[1]) < 0.5)
        return self.state, float(done), False, False, {"success": done}


def expert(obs):
    """The goal itself."""
    return obs["state"][1:]


gym.register("Line-v0", entry_point=LineEnv, max_episode_steps=5)
'''

TRAIN = [
    "env.id=my_robot:Line-v0",
    "+env.expert=my_robot.expert",
    "data.path=demos",
    "debug=quick",
    "video=false",
    "run_dir=run",
    "policy.energy._target_=my_robot.Energy",
    "policy.energy.encoder={_target_: my_robot.Encoder, size: 4}",
    "loss._target_=my_robot.Loss",
    "policy.sampler._target_=my_robot.Sampler",
]


@pytest.fixture(scope="module")
def robot(tmp_path_factory):
    """A folder with the package, and a policy trained with its classes."""
    folder = tmp_path_factory.mktemp("robot")
    (folder / "my_robot").mkdir()
    (folder / "my_robot/__init__.py").write_text(PACKAGE)
    trained = ibc(folder, "train", *TRAIN)
    assert trained.returncode == 0, trained.stderr
    return folder


def ibc(folder, *arguments):
    """The console command in a process of its own, where the package can be imported."""
    return subprocess.run(
        [sys.executable, "-m", "ibc", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_that_names_it_is_refused_with_the_key_to_set(robot, monkeypatch, capsys):
    monkeypatch.chdir(robot)
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "checkpoint=run/checkpoint.pt", "num_episodes=2"])
    error = capsys.readouterr().err
    assert "trust=[my_robot]" in error
    assert error.count("\n") == 1
    assert "my_robot" not in sys.modules


def test_a_file_that_names_it_is_loaded_on_trust(robot):
    done = ibc(
        robot, "evaluate", "checkpoint=run/checkpoint.pt", "num_episodes=2", "trust=[my_robot]"
    )
    assert done.returncode == 0, done.stderr
    assert "success" in done.stdout


def test_an_installed_plugin_is_trusted(robot):
    metadata = robot / "my_robot-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-robot\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ibc.plugins]\nmy_robot = my_robot\n")
    program = "import ibc; print(type(ibc.load_policy('run/checkpoint.pt').energy).__name__)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=robot,
            env={**os.environ, "PYTHONPATH": str(robot)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (metadata / "entry_points.txt").unlink()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Energy"
