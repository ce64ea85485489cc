"""Planar sweeping: the world, its measure, its pictures, its expert."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from conftest import ROOT
from ibc_envs.planar_sweep import PlanarSweepExpert
from ibc_envs.planar_sweep.env import MAX_DELTA, PlanarSweepEnv
from ibc_envs.planar_sweep.simulation import HALF_SIDE, PIECE_RADIUS, STICK_LENGTH, Simulation

from ibc.cli.config import compose
from ibc.construct import construct
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import summarize
from ibc.evaluation.rollout import rollout


def random_course(seed, steps, most=100):
    """Everything observed under random actions at full speed, held for a while each."""
    env = PlanarSweepEnv(fewest=most, most=most, pixels=True)
    obs, _ = env.reset(seed=seed)
    rng, action = np.random.default_rng(seed), np.zeros(3)
    for t in range(steps):
        if t % 8 == 0:
            action = rng.choice([-1.0, 1.0], 3) * MAX_DELTA
        yield obs
        obs, *_ = env.step(action)


class TestWorld:
    @pytest.mark.parametrize("seed", range(3))
    def test_full_speed_breaks_nothing(self, seed):
        limit = (
            HALF_SIDE - PIECE_RADIUS / 2
        )  # a piece that is pressed against a wall sinks in a little
        for obs in random_course(seed, 400):
            assert all(np.isfinite(value).all() for value in obs.values())
            assert np.abs(obs["pieces"]).max() < limit
            assert np.abs(obs["stick_translation"]).max() < HALF_SIDE

    def test_bit_for_bit_in_another_process(self):
        """What an engine keeps in the order of addresses would differ from process to process."""
        code = """import hashlib, numpy as np
from ibc_envs.planar_sweep.env import MAX_DELTA, PlanarSweepEnv
env, rng, told = PlanarSweepEnv(pixels=True), np.random.default_rng(0), hashlib.sha256()
obs, _ = env.reset(seed=5)
for _ in range(150):
    [told.update(obs[name].tobytes()) for name in sorted(obs)]
    obs, *_ = env.step(rng.choice([-1.0, 1.0], 3) * MAX_DELTA)
print(told.hexdigest())"""
        outs = {
            subprocess.run(
                [sys.executable, "-c", padding + code],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for padding in ("", "x = [bytearray(i) for i in range(3000)]\n")
        }
        assert len(outs) == 1

    def test_the_stick_goes_where_it_is_sent(self):
        sim = Simulation(np.array([0.1, 0.0, 0.3]), np.zeros((0, 2)))
        for _ in range(5):
            sim.move(sim.setpoint + np.array([-0.03, 0.01, -0.2]))
        assert sim.stick == pytest.approx([-0.05, 0.05, -0.7], abs=1e-3)

    def test_a_piece_in_the_way_is_pushed_and_then_rests(self):
        """A piece ahead of the stick's middle ends up touching its flat side."""
        sim = Simulation(np.array([-0.1, 0.0, np.pi / 2]), np.array([[0.0, 0.0], [0.0, 0.2]]))
        for _ in range(5):
            sim.move(sim.setpoint + np.array([0.03, 0.0, 0.0]))
        assert sim.stick[0] == pytest.approx(0.05, abs=1e-3)
        assert 0.058 < sim.pieces[0, 0] < 0.065
        assert sim.pieces[1] == pytest.approx([0.0, 0.2], abs=1e-9)
        sim.settle(0.3)
        before = sim.pieces.copy()
        sim.settle(0.2)
        assert np.abs(sim.pieces - before).max() < 1e-5

    def test_the_stick_stops_at_a_wall(self):
        sim = Simulation(np.array([0.0, 0.0, 0.0]), np.zeros((0, 2)))
        for _ in range(20):
            sim.move(sim.setpoint + np.array([0.03, 0.0, 0.0]))
        assert sim.stick[0] == pytest.approx(HALF_SIDE - STICK_LENGTH / 2, abs=2e-3)


class TestTask:
    def test_numbers_of_pieces_and_padding(self):
        env = PlanarSweepEnv()
        counts = []
        for seed in range(30):
            obs, _ = env.reset(seed=seed)
            there = obs["pieces_mask"] == 1.0
            counts.append(there.sum())
            assert set(obs["pieces_mask"]) <= {0.0, 1.0}
            assert (obs["pieces"][~there] == 0.0).all()
            assert len(obs["pieces"]) == 100
            gaps = np.linalg.norm(obs["pieces"][there][:, None] - obs["pieces"][there], axis=-1)
            assert (gaps + np.eye(counts[-1])).min() > 1.8 * PIECE_RADIUS
        assert min(counts) >= 50
        assert max(counts) <= 100
        assert len(set(counts)) > 10

    def test_the_measure(self):
        env = PlanarSweepEnv(fewest=20, most=20)
        _, first = env.reset(seed=0)
        assert 0 < first["fraction_in"] < 1

        def put(radii):
            pieces = np.array([[0.0, r] for r in radii])
            env.simulation.pieces = pieces
            env.simulation.move = lambda setpoint: None
            return env.step(np.zeros(3, np.float32))

        _, reward, over, _, info = put([0.089] * 18 + [0.091] * 2)
        assert info == {"fraction_in": 0.9, "success": False, "all_in": False}
        assert reward == pytest.approx(0.9 - first["fraction_in"])
        assert not over
        _, _, over, _, info = put([0.089] * 19 + [0.091])
        assert info == {"fraction_in": 0.95, "success": True, "all_in": False}
        assert not over
        _, reward, over, _, info = put([0.089] * 20)
        assert info == {"fraction_in": 1.0, "success": True, "all_in": True}
        assert over
        assert reward == pytest.approx(0.05)

    def test_the_picture(self):
        env = PlanarSweepEnv(fewest=1, most=1, pixels=True, render_mode="rgb_array")
        env.reset(seed=0)
        env.simulation.pieces = np.array([[0.0, 0.2]])
        env.simulation.stick = np.array([0.15, -0.1, np.pi / 2])
        for picture in (env._obs()["rgb"], env.render()):
            size = len(picture)

            def color(x, y, picture=picture, size=size):
                row, column = (0.5 - y / 0.5) * size, (x / 0.5 + 0.5) * size
                return picture[int(row), int(column)].astype(int)

            assert color(0.0, 0.0).argmax() == 1, "the zone is green"
            assert color(0.0, 0.2).argmax() == 0, "the piece is red, and y points up"
            assert color(0.15, -0.15).argmax() == 2, "the stick is blue, along its yaw"
            assert np.ptp(color(-0.2, -0.2)) < 10, "the rest is plain"
        assert env._obs()["rgb"].shape == (96, 96, 3)

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"fewest": 0},
            {"fewest": 2.5},
            {"most": 101},
            {"fewest": 60, "most": 50},
            {"render_mode": "x"},
        ],
    )
    def test_nonsense_is_refused(self, kwargs):
        with pytest.raises(ValueError, match="allowed|must be") as error:
            PlanarSweepEnv(**kwargs)
        assert "\n" not in str(error.value)


class TestExpert:
    def episodes(self, seeds, *overrides):
        config = compose("collect", ["env=planar_sweep", "data.path=x", *overrides])["env"]
        envs = [Environment(EnvConfig.from_mapping(config)) for _ in range(4)]
        return list(rollout(envs, Controller(construct(config["expert"], "expert")), seeds))

    def test_it_sweeps_all_in_and_the_evaluation_says_so(self):
        figures = summarize(self.episodes(range(20)), "last", [0.1])
        assert figures["report"]["fraction_in"]["mean"] > 0.99
        assert all(0.95 <= row["fraction_in"] <= 1.0 for row in figures["episodes"])
        assert figures["success_rate"] == 1.0

    def test_the_report_is_of_the_last_step(self):
        (episode,) = self.episodes([3], "+env.max_episode_steps=40")
        there = episode.obs["pieces_mask"][-1] == 1
        inside = np.linalg.norm(episode.obs["pieces"][-1][there], axis=-1) <= 0.09
        assert episode.report == {"fraction_in": pytest.approx(inside.mean())}
        assert 0.2 < inside.mean() < 0.9

    def test_habits_lead_different_ways(self):
        """The same first sight, opposite directions: people differ, too."""
        obs, _ = PlanarSweepEnv().reset(seed=1)
        pieces = np.array([[0.0, 0.15], [0.0, -0.15]])
        obs["pieces"][:] = 0
        obs["pieces"][:2], obs["pieces_mask"][:] = pieces, [1, 1] + [0] * 98
        obs["setpoint_translation"] = np.float32([0.215, 0.0])
        obs["setpoint_orientation"] = np.float32([-1.0, 0.0])
        window = {name: value[None, None] for name, value in obs.items()}
        expert, signs = PlanarSweepExpert(), set()
        for seed in range(10):
            expert.reset(0, seed)
            signs.add(np.sign(expert.act([0], window)[0, 0, 1]))
        assert signs == {-1.0, 1.0}


class Telling(gym.Env):
    """Tells what it likes."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        info = {"success": False, "count": np.int64(self.t), "name": "x", "many": np.zeros(2)}
        return np.zeros(2, np.float32), 0.0, self.t == 3, False, info


gym.register("TestTelling-v0", entry_point=Telling)


class TestReport:
    def run(self, *report):
        class Nothing:
            def reset(self, env_index, seed): ...

            def act(self, env_indices, obs):
                return np.zeros((len(env_indices), 1, 1), np.float32)

        env = Environment(EnvConfig(id="TestTelling-v0", report=report))
        return list(rollout([env], Controller(Nothing()), range(2)))

    def test_any_number_of_any_environment(self):
        figures = summarize(self.run("count"), "last", [0.1])
        assert figures["report"] == {"count": {"mean": 3.0, "ci95": [3.0, 3.0]}}
        assert [row["count"] for row in figures["episodes"]] == [3.0, 3.0]

    def test_nothing_is_said_where_nothing_is_asked(self):
        assert "report" not in summarize(self.run(), "last", [0.1])

    @pytest.mark.parametrize("key", ["nonsense", "name", "many"])
    def test_what_is_no_number_is_explained(self, key):
        with pytest.raises(UserError, match=rf"info\['{key}'\].*count") as error:
            self.run(key)
        assert "\n" not in str(error.value)
