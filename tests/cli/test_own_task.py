"""A task this project has never seen: states or pictures, any names, any reader, trained, evaluated and filmed."""

import json

import gymnasium as gym
import h5py
import imageio.v2 as imageio
import numpy as np
import pytest
from conftest import ROOT

from benchmarks.runs import MAX_PRETRAINED
from ibc.checkpoint import load_checkpoint
from ibc.cli.config import compose
from ibc.cli.evaluate import evaluate
from ibc.cli.record import record
from ibc.cli.train import train
from ibc.control import Controller
from ibc.data import DemonstrationWriter
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.rollout import rollout

pytestmark = pytest.mark.unchecked


class DotEnv(gym.Env):
    """Name the place of a dot, in one number, from its picture; nested observations, an unusual success key."""

    observation_space = gym.spaces.Dict(
        {
            "eye": gym.spaces.Box(0, 255, (10, 14, 3), np.uint8),
            "state": gym.spaces.Dict({"clock": gym.spaces.Box(-1, 1, (), np.float64)}),
        }
    )
    action_space = gym.spaces.Box(-1, 1, (1,), np.float64)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, int(self.np_random.integers(1, 13))
        return self.obs(), {}

    def obs(self):
        eye = np.zeros((10, 14, 3), np.uint8)
        eye[4:6, self.x - 1 : self.x + 1] = 255
        return {"eye": eye, "state": {"clock": np.float64(self.t / 4)}}

    def step(self, action):
        self.t += 1
        error = abs(float(action[0]) - self.x / 7 + 1)
        return self.obs(), -error, False, self.t == 4, {"solved": error < 0.2}

    def render(self):
        return self.obs()["eye"]


gym.register("TestDot-v0", entry_point=DotEnv)

QUICK = [
    "debug=quick",
    "run_dir=run",
    "network.width=32",
]


class DotExpert:
    def reset(self, env_index, seed): ...

    def act(self, env_indices, obs):
        columns = obs["eye"][:, -1, 4, :, 0].argmax(-1) + 1
        return (columns / 7 - 1).astype(np.float32)[:, None, None]


@pytest.fixture
def dots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = Environment(EnvConfig(id="TestDot-v0", success_key="solved"))
    writer = DemonstrationWriter(
        tmp_path / "dots",
        env_id="TestDot-v0",
        observation_space=env.observation_space,
        action_space=env.gym_env.action_space,
        about={},
    )
    for episode in rollout([env], Controller(DotExpert()), range(30)):
        assert episode.success.all()
        writer.append(episode)
    writer.close()
    return tmp_path / "dots"


@pytest.mark.parametrize("encoder", ["conv_max_pool", "spatial_softmax"])
def test_pictures_in_a_dictionary(dots, encoder, whole_report):
    task = ["env.id=TestDot-v0", f"data.path={dots}", "env.success_key=solved"]
    train(compose("train", [*QUICK, *task, f"encoder={encoder}", "obs_horizon=2"]))
    figures = json.loads((dots.parent / "run/evaluation.json").read_text())
    assert figures["env_id"] == "TestDot-v0"
    assert [row["length"] for row in figures["episodes"]] == [4] * 4
    record(compose("record", ["checkpoint=run/checkpoint.pt", "output=film.mp4", "seed=3"]))
    with imageio.get_reader("film.mp4") as film:
        assert film.count_frames() == 5 + 5  # reset and four steps, then a second of the outcome
    page = (dots.parent / "run/report.html").read_text()
    assert page.count('alt="energy of actions"') == 4, (
        "the energy of a one-dimensional action is a curve"
    )


def test_only_some_observations(dots):
    task = ["env.id=TestDot-v0", f"data.path={dots}", "env.success_key=solved"]
    names = ["data.obs_names=[state/clock]", "policy=mse"]
    train(compose("train", [*QUICK[:3], *task, *names]))


def test_states_in_another_format(tmp_path, monkeypatch):
    """D4RL's layout, success by return, then evaluation from the checkpoint alone."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with h5py.File("pendulum.hdf5", "w") as file:
        file["observations"] = rng.normal(size=(400, 3)).astype(np.float32)
        file["actions"] = rng.uniform(-2, 2, (400, 1)).astype(np.float32)
        file["rewards"] = np.zeros(400, np.float32)
        file["terminals"] = np.zeros(400, np.bool_)
        file["timeouts"] = np.arange(1, 401) % 200 == 0
    task = ["env.id=Pendulum-v1", "data.path=pendulum.hdf5", "env.success_return=-400"]
    train(compose("train", [*QUICK, *task, "action_horizon=4", "video=false"]))
    (tmp_path / "pendulum.hdf5").unlink()
    path = "checkpoint=run/checkpoint.pt"
    evaluate(compose("evaluate", [path, "num_episodes=2", "output=figures.json"]))
    figures = json.loads((tmp_path / "figures.json").read_text())
    for row in figures["episodes"]:
        assert row["length"] == 200
        assert row["success"] == (row["return"] >= -400)


@pytest.mark.parametrize("path", sorted((ROOT / "pretrained").glob("*.pt")), ids=lambda p: p.stem)
def test_pretrained_policies_act(path, tmp_path):
    """What the repository ships loads, is small, and acts in its environment."""
    has_image = any(f.is_image for f in load_checkpoint(path).spec.obs.values())
    assert path.stat().st_size <= MAX_PRETRAINED * (2 if has_image else 1)
    overrides = [f"checkpoint={path}", "num_episodes=1", f"output={tmp_path}/figures.json"]
    overrides.append("env.max_episode_steps=5")
    if path.stem == "particle_corridor":
        overrides.append("trust=[benchmarks.envs]")
    evaluate(compose("evaluate", overrides))
    assert json.loads((tmp_path / "figures.json").read_text())["num_episodes"] == 1
