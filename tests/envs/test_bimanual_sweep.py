"""Bi-manual sweeping: the world, its measure, its pictures, its expert. The contract is in test_environments.py."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from ibc_envs.bimanual_sweep.env import MAX_DELTA, BimanualSweepEnv
from ibc_envs.bimanual_sweep.expert import decide
from ibc_envs.bimanual_sweep.places import in_bowls, lost, on_scoop, on_tray
from ibc_envs.bimanual_sweep.scene import BLADE_LENGTH, BOWLS, PIECE_RADIUS, SLOPE
from ibc_envs.bimanual_sweep.simulation import Simulation

from ibc.cli.config import compose
from ibc.construct import construct
from ibc.control import Controller
from ibc.data import read_episodes
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.collect import collect_demonstrations
from ibc.evaluation.metrics import summarize
from ibc.evaluation.rollout import rollout

LIMIT = np.array([MAX_DELTA, MAX_DELTA])


def poses(x=0.17, y=-0.03, z=0.085, pitch=0.0):
    """Scoops that mirror each other (2, 6)."""
    return np.array([[-x, y, z, 0.0, pitch, 0.0], [x, y, z, 0.0, pitch, 0.0]])


def go(sim, target, speed=0.02):
    """Move both scoops straight to poses (2, 6)."""
    way = target - sim.setpoint
    steps = max(
        1, int(np.ceil(max(np.abs(way[:, :3]).max() / speed, np.abs(way[:, 3:]).max() / 0.2)))
    )
    for _ in range(steps):
        sim.move(sim.setpoint + way / steps)


class TestPhysics:
    @pytest.mark.parametrize("seed", range(2))
    def test_full_speed_breaks_nothing(self, seed):
        """Scoops that beat about among the pieces, down most of the time: nothing flies, sinks or is not a number."""
        env = BimanualSweepEnv()
        obs, _ = env.reset(seed=seed)
        rng, action = np.random.default_rng(seed), np.zeros((2, 6))
        for t in range(200):
            if t % 6 == 0:
                action = rng.choice([-1.0, 1.0], (2, 6)) * LIMIT
                action[:, 2] = rng.choice([-1.0, -1.0, 1.0], 2) * LIMIT[:, 2]
            obs, *_ = env.step(action.ravel())
            assert all(np.isfinite(value).all() for value in obs.values())
            pieces = env.simulation.pieces
            assert pieces[:, 2].min() > 0.4 * PIECE_RADIUS
            assert pieces[:, 2].max() < 0.4
            assert np.abs(pieces[:, :2]).max() < 0.8

    def test_bit_for_bit_in_another_process(self):
        code = """import hashlib, numpy as np
from ibc_envs.bimanual_sweep.env import BimanualSweepEnv
env, rng, told = BimanualSweepEnv(disturbance=0.1), np.random.default_rng(0), hashlib.sha256()
obs, _ = env.reset(seed=5)
for _ in range(60):
    [told.update(obs[name].tobytes()) for name in sorted(obs)]
    obs, *_ = env.step(rng.normal(0, 0.02, 12))
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

    def test_an_episode_leaves_no_trace_in_the_next(self):
        env, fresh = BimanualSweepEnv(), BimanualSweepEnv()
        env.reset(seed=1)
        for _ in range(30):
            env.step(env.action_space.sample())
        for e in (env, fresh):
            e.reset(seed=2)
            for _ in range(10):
                obs, *_ = e.step(np.full(12, -0.02, np.float32))
            e.last = obs
        assert all((env.last[name] == fresh.last[name]).all() for name in env.last)

    def test_scoops_go_where_they_are_sent_in_all_six_directions(self):
        sim = Simulation(1)
        sim.reset(poses(), np.array([[0.0, 0.0]]))
        step = np.array(
            [[0.01, 0.02, 0.01, 0.05, -0.1, 0.08], [-0.01, 0.01, 0.01, -0.05, 0.1, 0.02]]
        )
        for _ in range(4):
            sim.move(sim.setpoint + step)
        sim.move(sim.setpoint)
        assert sim.poses == pytest.approx(poses() + 4 * step, abs=2e-3)

    def test_turns_mean_what_is_said(self):
        """Positive pitch is lip down; a blade is level at minus its slope. The two arms mirror each other."""
        sim = Simulation(1)
        for pitch, height in ((-SLOPE, 0.0), (0.3, np.sin(0.3 + SLOPE) * BLADE_LENGTH)):
            sim.reset(poses(pitch=pitch), np.array([[0.0, 0.0]]))
            for arm, side in (("left", -1), ("right", 1)):
                turn = sim.data.body(f"{arm}_pan").xmat.reshape(3, 3)
                back = sim.data.body(arm).xpos + turn @ (-BLADE_LENGTH, 0, 0)
                assert back[2] - 0.085 == pytest.approx(height, abs=1e-9)
                assert side * (back[0] - side * 0.17) > 0, "the back is outside"

    def test_a_held_back_scoop_does_not_wind_up(self):
        """Scoops that are sent through each other stop where they meet, and part as soon as they are told to."""
        sim = Simulation(1)
        sim.reset(poses(x=0.03), np.array([[0.0, 0.1]]))
        for _ in range(10):
            sim.move(sim.setpoint + np.array([[0.03] + [0.0] * 5, [-0.03] + [0.0] * 5]))
        assert sim.poses[1, 0] - sim.poses[0, 0] > -0.004
        assert np.abs(sim.setpoint - sim.poses).max() < 0.0201
        for _ in range(2):
            sim.move(sim.setpoint + np.array([[-0.03] + [0.0] * 5, [0.03] + [0.0] * 5]))
        assert sim.poses[1, 0] - sim.poses[0, 0] > 0.04

    def test_scooping_takes_two(self):
        """One scoop pushes a piece before it. Between two, it climbs, is lifted and poured into a bowl."""
        sim = Simulation(1)
        sim.reset(poses(), np.array([[-0.08, -0.03]]))
        low = poses(z=0.001)
        go(sim, low)
        alone = low.copy()
        alone[0, 0] = 0.02
        go(sim, alone)
        assert sim.pieces[0, 0] > 0.02
        assert sim.pieces[0, 2] == pytest.approx(PIECE_RADIUS, abs=1e-3)
        together = alone.copy()
        together[1, 0] = 0.02
        go(sim, together)
        assert sim.pieces[0, 2] > PIECE_RADIUS + 0.003
        raised = together + np.array([[0, 0, 0.02, 0, -0.3, 0], [0.012, 0, 0.03, 0, -0.3, 0]])
        raised[0, 0] += 0.012
        go(sim, raised)
        raised[:, 2] = 0.085
        go(sim, raised)
        held = [
            on_scoop(pose, side, sim.pieces)[0]
            for pose, side in zip(sim.poses, (-1, 1), strict=True)
        ]
        assert sum(held) == 1

    def test_pieces_come_to_rest(self):
        sim = Simulation(1)
        sim.reset(poses(), np.array([[0.0, 0.0]]))
        sim.data.qvel[-6:-3] = 0.3, 0.0, 0.0
        sim.data.qvel[-3:] = 0.0, 0.3 / PIECE_RADIUS, 0.0
        for _ in range(15):
            sim.move(sim.setpoint)
        assert 0.01 < sim.pieces[0, 0] < 0.04
        assert np.abs(sim.data.qvel[-6:]).max() < 1e-3


class TestTask:
    def test_the_start(self):
        env = BimanualSweepEnv()
        places = []
        for seed in range(20):
            obs, info = env.reset(seed=seed)
            pieces = obs["pieces"]
            gaps = np.linalg.norm(pieces[:, None] - pieces, axis=-1) + np.eye(20)
            assert gaps.min() > 2 * PIECE_RADIUS
            assert on_tray(pieces).all()
            assert np.ptp(pieces[:, :2], 0).max() < 0.18
            assert obs["pieces_mask"].all()
            assert info == {"success": False, "fraction_in": 0.0, "evenness": 0.0}
            places.append(pieces.mean(0))
        assert np.std(places, 0)[:2].min() > 0.01

    def test_the_measure(self):
        env = BimanualSweepEnv(num_pieces=10)
        env.reset(seed=0)
        (left, right), tray, gone = BOWLS, (0.0, 0.0), (0.0, 0.30)

        def put(*places):
            """Where pieces rest, and nothing moves them."""
            for start, (x, y) in zip(env.simulation._beads, places, strict=True):
                env.simulation.data.qpos[start : start + 3] = x, y, PIECE_RADIUS
            env.simulation.move = lambda setpoint: None
            obs, reward, over, _, info = env.step(np.zeros(12, np.float32))
            return info, reward, over, obs["pieces_mask"].sum()

        info, reward, over, there = put(*[left] * 6, *[right] * 3, tray)
        assert info == {"success": True, "fraction_in": 0.9, "evenness": pytest.approx(6 / 9)}
        assert (reward, over, there) == (0.9, False, 10)
        info, reward, over, there = put(*[left] * 7, *[right] * 2, tray)
        assert info == {"success": False, "fraction_in": 0.9, "evenness": pytest.approx(4 / 9)}
        assert reward == 0.0
        info, reward, over, there = put(*[left] * 4, *[right] * 4, tray, gone)
        assert info == {"success": False, "fraction_in": 0.8, "evenness": 1.0}
        assert (over, there) == (False, 9)
        info, _, over, there = put(*[left] * 5, *[right] * 4, gone)
        assert info["success"]
        assert (over, there) == (True, 9), "nothing is left that could be scooped"
        info, _, over, _ = put(*[left] * 5, *[right] * 5)
        assert info == {"success": True, "fraction_in": 1.0, "evenness": 1.0}
        assert over

    def test_a_place_is_one_of_the_four(self):
        points = np.array(
            [
                [*BOWLS[0], 0.01],
                [*BOWLS[1], 0.03],
                [*BOWLS[1], 0.06],
                [0.3, 0.1, 0.01],
                [0.0, 0.3, 0.01],
            ]
        )
        assert in_bowls(points).astype(int).tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
        assert on_tray(points).tolist() == [False, False, False, True, False]
        assert lost(points).tolist() == [False, False, False, False, True]
        pose = np.array([0.1, 0.0, 0.1, np.pi / 4, 0.0, 0.0])
        behind = pose[:3] + 0.04 * np.array([-np.cos(np.pi / 4), -np.sin(np.pi / 4), 0.5])
        assert on_scoop(pose, -1, behind[None])[0]
        assert not on_scoop(pose, 1, behind[None])[0]

    def test_the_picture_shows_what_matters(self):
        env = BimanualSweepEnv(num_pieces=1, pixels=True)
        obs, _ = env.reset(seed=0)
        picture = obs["rgb"].astype(int)
        assert picture.shape == (96, 96, 3)
        red, green, blue = picture.transpose(2, 0, 1)
        piece = (red > green + 60) & (red > blue + 60)
        scoops = ((blue > red + 60) & (blue > green + 30), (green > red + 60) & (green > blue + 20))
        assert 2 <= piece.sum() <= 25
        assert all(mask.sum() > 100 for mask in scoops)
        columns = [np.nonzero(mask)[1].mean() for mask in (scoops[0], piece, scoops[1])]
        assert columns == sorted(columns), "left is left"
        env.close()

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"num_pieces": 0},
            {"num_pieces": 21},
            {"disturbance": -1},
            {"disturbance": np.inf},
            {"render_mode": "x"},
        ],
    )
    def test_nonsense_is_refused(self, kwargs):
        with pytest.raises(ValueError, match="allowed|must") as error:
            BimanualSweepEnv(**kwargs)
        assert "\n" not in str(error.value)

    def test_a_disturbance_is_carried_out_and_not_recorded(self, tmp_path):
        """What is stored is the expert's answer to what is observed, not what the scoops did."""
        env = compose("collect", ["env=bimanual_sweep", "data.path=x"])["env"]
        assert env["demo_overrides"]["disturbance"] > 0
        collect_demonstrations(env, tmp_path / "demos", num_episodes=1, first_seed=0, num_envs=1)
        (episode,) = read_episodes(tmp_path / "demos")
        for t in (0, 20, 60):
            pair = np.stack([episode.obs[f"{arm}_pose"][t] for arm in ("left", "right")])
            wanted = decide(pair.astype(float), episode.obs["pieces"][t].astype(float)).ravel()
            assert episode.action[t] == pytest.approx(wanted, abs=1e-6)
        moved = np.diff(episode.obs["left_pose"], axis=0)
        assert np.abs(moved - episode.action[:, :6])[:5].max() > 1e-3


class TestExpert:
    def figures(self, seeds, *overrides):
        config = compose("collect", ["env=bimanual_sweep", "data.path=x", *overrides])["env"]
        envs = [Environment(EnvConfig.from_mapping(config)) for _ in range(4)]
        expert = construct(config["expert"], "expert")
        return summarize(list(rollout(envs, Controller(expert), seeds)), "last", [0.1])

    def test_it_brings_them_in_evenly(self):
        figures = self.figures(range(4))
        assert figures["report"]["fraction_in"]["mean"] > 0.95
        assert figures["report"]["evenness"]["mean"] > 0.7
        assert max(row["length"] for row in figures["episodes"]) < 400

    @pytest.mark.slow
    def test_over_many_seeds(self):
        figures = self.figures(range(200))
        assert figures["report"]["fraction_in"]["mean"] > 0.97
        assert figures["report"]["evenness"]["mean"] > 0.85
        assert figures["success_rate"] > 0.95

    @pytest.mark.slow
    def test_it_answers_disturbances(self):
        figures = self.figures(range(50), "+env.disturbance=0.1")
        assert figures["report"]["fraction_in"]["mean"] > 0.95

    def test_it_moves_smoothly_and_within_bounds(self):
        env = BimanualSweepEnv()
        obs, _ = env.reset(seed=3)
        for _ in range(60):
            pair = np.stack([obs["left_pose"], obs["right_pose"]]).astype(float)
            delta = decide(pair, obs["pieces"].astype(float))
            assert (np.abs(delta) < LIMIT).all()
            obs, *_ = env.step(delta.ravel())
