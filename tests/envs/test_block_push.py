"""The tabletop tasks: physics, success, observations, experts. The contract is in test_environments.py."""

import os
import subprocess
import sys

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from conftest import ROOT
from ibc_envs.block_push import PushExpert
from ibc_envs.block_push.env import BLOCK_AREA, MIDWAY_APART, MIDWAY_CLEAR, SPREAD, TOOL_START
from ibc_envs.block_push.scene import ARMS, DT, RIM, SUBSTEPS, WORKSPACE, Scene
from ibc_envs.block_push.simulation import Simulation
from ibc_envs.block_push.tasks import BlockPushEnv

from ibc.cli.config import compose
from ibc.construct import construct
from ibc.control import Controller
from ibc.data import read_episodes
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.collect import collect_demonstrations
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout

TASKS = sorted(p.stem for p in (ROOT / "configs/env").glob("block_*.yaml"))


def config(task, *overrides):
    return compose("collect", [f"env={task}", "data.path=x", *overrides])["env"]


def make(task, **kwargs):
    env = gym.make(config(task)["id"], disable_env_checker=True, **kwargs).unwrapped
    env.reset(seed=0)
    return env


def place(env, blocks, tool=(0.3, -0.4), targets=None):
    """Put blocks (x, y, yaw) somewhere in the present episode, and the rod out of the way."""
    targets = env.simulation.targets if targets is None else targets
    env.simulation.reset(np.array(tool), [np.array(b) for b in blocks], targets)
    return env.step(np.zeros(2))


class TestPhysics:
    def moved_by(self, arm, offset):
        """How far (m) a block goes that is pushed 18 cm straight, off its center."""
        sim = Simulation(Scene(), arm)
        block = np.array([0.4, -0.15, 0.0])
        sim.reset(np.array([0.4 + offset, -0.2]), [block], [np.zeros(3)])
        for _ in range(9):
            sim.move(np.add(sim.setpoint, (0, 0.02)))
        return np.linalg.norm(sim.blocks[0, :2] - block[:2])

    @pytest.mark.parametrize("offset", [0.0, 0.004, 0.010, 0.018])
    def test_slides_and_arm_make_the_same_contacts(self, offset):
        """Both sides of the center; an eccentric push ends where the block slips off, which chance shifts by a bit."""
        slides, xarm = (
            np.mean([self.moved_by(arm, sign * offset) for sign in (-1, 1)]) for arm in ARMS
        )
        assert slides == pytest.approx(xarm, rel=0.2)

    def test_off_center_pushes_move_a_block_less(self):
        moved = [self.moved_by("slides", offset) for offset in (0.0, 0.004, 0.010, 0.018)]
        assert moved == sorted(moved, reverse=True)
        assert moved[0] == pytest.approx(0.18 - 0.025, abs=0.005)

    @pytest.mark.parametrize("arm", ARMS)
    def test_the_rod_keeps_to_its_set_point(self, arm):
        sim = Simulation(Scene(), arm)
        sim.reset(np.array([0.3, -0.4]), [np.array([0.5, 0.3, 0.0])], [np.zeros(3)])
        for k in range(20):
            sim.move(np.add(sim.setpoint, (0.02 * (-1) ** (k // 5), 0.02)))
            assert np.linalg.norm(sim.tool - sim.setpoint) < 0.004
        for _ in range(3):
            sim.move(sim.setpoint)
        assert np.linalg.norm(sim.tool - sim.setpoint) < 5e-4

    def test_the_arm_reaches_every_set_point_upright(self):
        sim = Simulation(Scene(), "xarm")
        sim.reset(np.array([0.3, -0.4]), [np.array([0.3, 0.55, 0.0])], [np.zeros(3)])
        (x0, y0), (x1, y1) = WORKSPACE
        for goal in ((x0, y0), (x0, y1), (x1, y1), (x1, 0.0), (x1, y0), (0.4, 0.0)):
            for _ in range(14):
                sim.move(sim.setpoint + np.clip(goal - sim.setpoint, -0.1, 0.1))
            tip = sim.data.site("tip")
            assert np.linalg.norm(tip.xpos[:2] - sim.setpoint) < 0.002
            assert abs(tip.xpos[2] - 0.006) < 0.002
            assert tip.xmat.reshape(3, 3)[2, 2] > 0.999

    def test_a_block_at_rest_stays(self):
        sim = Simulation(Scene())
        sim.reset(np.array([0.3, -0.4]), [np.array([0.4, 0.0, 0.5])], [np.zeros(3)])
        before = sim.blocks
        for _ in range(100):
            sim.move(sim.setpoint)
        np.testing.assert_allclose(sim.blocks, before, atol=1e-6)

    def test_friction_stops_a_sliding_block_as_it_should(self):
        """v^2 / (2 mu g), with mu = 1."""
        sim = Simulation(Scene())
        sim.reset(np.array([0.3, -0.4]), [np.array([0.4, 0.0, 0.0])], [np.zeros(3)])
        sim.data.joint("block0").qvel[0] = 0.8
        for _ in range(3):
            sim.move(sim.setpoint)
        assert sim.blocks[0, 0] - 0.4 == pytest.approx(0.8**2 / (2 * 9.81), rel=0.1)

    def test_control_is_at_10_hz(self):
        assert round(DT * SUBSTEPS, 9) == 0.1

    @pytest.mark.parametrize("arm", ARMS)
    @pytest.mark.parametrize("task", TASKS)
    def test_full_speed_does_no_harm(self, task, arm):
        play_wildly(task, arm, 200)

    @pytest.mark.slow
    @pytest.mark.parametrize("arm", ARMS)
    @pytest.mark.parametrize("task", TASKS)
    def test_full_speed_does_no_harm_for_long(self, task, arm):
        play_wildly(task, arm, 10_000)


def play_wildly(task, arm, num_steps):
    """Random blows, half of them at a block; nothing may leave the table, sink, jump, or stop being a number."""
    env, rng = make(task, arm=arm), np.random.default_rng(0)
    sim = env.simulation
    low, high = np.array(RIM)
    for t in range(num_steps):
        if t % 200 == 0:
            env.reset(seed=t)
        action = rng.choice([-0.1, 0.1], 2)
        if rng.random() < 0.5:
            block = sim.blocks[rng.integers(len(sim.blocks)), :2]
            action = np.clip(2 * (block - sim.setpoint), -0.1, 0.1)
        obs, *_ = env.step(action)
        assert all(np.isfinite(value).all() for value in obs.values())
        assert (sim.blocks[:, :2] > low).all()
        assert (sim.blocks[:, :2] < high).all()
        heights = [sim.data.body(f"block{i}").xpos[2] for i in range(len(sim.blocks))]
        np.testing.assert_allclose(heights, 0.02, atol=0.007)
        assert (sim.tool > np.array(WORKSPACE[0]) - 0.1).all()
        assert (sim.tool < np.array(WORKSPACE[1]) + 0.1).all()


class TestSuccess:
    def test_push_within_tolerance(self):
        for tolerance, distance, success in ((0.02, 0.015, True), (0.01, 0.015, False)):
            env = make("block_push", tolerance=tolerance)
            x, y, _ = env.simulation.targets[0]
            _, reward, terminated, _, info = place(env, [(x + distance, y, 0.3)])
            assert (info["success"], terminated, reward) == (success, success, float(success))

    def test_reach_is_for_the_rod(self):
        env = make("block_reach")
        block, target = env.simulation.blocks[0], env.simulation.targets[0]
        behind = block[:2] - 0.05 * (target - block)[:2] / np.linalg.norm((target - block)[:2])
        assert place(env, [block], tool=behind)[4]["success"]
        assert not place(env, [block])[4]["success"]

    def test_discontinuous_in_order_only(self):
        env = make("block_push_discontinuous")
        first, second = env.simulation.targets
        assert not place(env, [second])[4]["success"], "the first was left out"
        _, reward, terminated, _, info = place(env, [first])
        assert (info["success"], info["first_visited"], terminated, reward) == (
            False,
            True,
            False,
            0.5,
        )
        assert not place(env, [(0.4, 0.2, 0.0)])[4]["success"]
        assert place(env, [second])[4]["success"]
        env.reset(seed=0)
        assert not place(env, [second])[4]["success"], "the last episode's visit was remembered"

    def test_multimodal_wants_a_zone_for_each(self):
        env = make("block_push_multimodal")
        (x, y, _), second = env.simulation.targets
        away = (0.3, -0.2, 0.0)
        assert place(env, [(x, y, 0), away])[1] == pytest.approx(0.49)
        both_in_one = place(env, [(x - 0.021, y, 0), (x + 0.021, y, 0)])
        assert (both_in_one[4]["num_placed"], both_in_one[4]["success"]) == (1, False)
        for order in (1, -1):
            env.reset(seed=0)
            info = place(env, [(x, y, 0), second][::order])[4]
            assert (info["success"], info["num_placed"]) == (True, 2)

    @pytest.mark.parametrize(
        ("depth", "side", "success"), [(-0.001, 0, True), (-0.004, 0, False), (0.05, 0, False)]
    )
    def test_insert_to_the_end(self, depth, side, success):
        env = make("block_insert")
        x, y, yaw = env.simulation.targets[0]
        axis = np.array([np.cos(yaw), np.sin(yaw)])
        info = place(env, [(*(np.array([x, y]) + depth * axis), yaw + np.pi / 2)])[4]
        assert info["success"] == success

    def test_a_block_fits_the_slot_with_the_play_it_should_have(self):
        """Moved sideways in it, it touches at 0.4 mm."""
        env = make("block_insert")
        target = np.array([0.4, 0.2, np.pi / 2])
        for side, contact in ((0.00035, False), (0.00045, True)):
            place(env, [(0.4 + side, 0.199, 0)], targets=[target])
            data = env.simulation.data
            data.joint("block0").qpos[0] = 0.4 + side
            mujoco.mj_forward(env.simulation.model, data)
            walls = [c for c in data.contact[: data.ncon] if c.dist < 0 and abs(c.frame[2]) < 0.5]
            assert bool(walls) == contact


class TestObservation:
    def test_a_quarter_turn_cannot_be_seen(self):
        env = make("block_push")
        seen = [
            place(env, [(0.4, 0.0, yaw)])[0]["block_orientation"] for yaw in (0.3, 0.3 + np.pi / 2)
        ]
        np.testing.assert_allclose(*seen, atol=1e-3)
        np.testing.assert_allclose(seen[0], [np.cos(1.2), np.sin(1.2)], atol=1e-3)

    def test_actions_move_the_set_point(self):
        env = make("block_push")
        before = env._obs()["effector_target_translation"]
        obs, *_ = env.step(np.array([0.03, 0.02]))
        np.testing.assert_allclose(
            obs["effector_target_translation"] - before, [0.03, 0.02], atol=1e-6
        )
        for _ in range(20):
            obs, *_ = env.step(np.array([5.0, 0.0]))
        assert np.linalg.norm(obs["effector_target_translation"]) < 0.7

    @pytest.mark.parametrize("size", [(90, 120), (48, 48)])
    def test_pixels(self, size):
        env = make("block_push", pixels=True, image_size=size)
        first = place(env, [(0.4, 0.0, 0.0)])[0]["rgb"]
        assert first.shape == (*size, 3)
        assert first.dtype == np.uint8
        assert env.observation_space.contains(env._obs())
        second = place(env, [(0.4, 0.1, 0.0)])[0]["rgb"]
        assert (first != second).any()
        red = [np.argwhere((f[..., 0] > 150) & (f[..., 1] < 90)).mean(0) for f in (first, second)]
        assert red[1][1] > red[0][1] + 0.05 * size[1], "+y is to the right in the picture"
        assert (place(env, [(0.4, 0.0, 0.0)])[0]["rgb"] == first).all(), "a picture was kept"
        env.close()

    def test_the_default_picture_is_the_published_one(self):
        env = make("block_push", pixels=True)
        assert env.observation_space["rgb"].shape == (240, 320, 3)
        env.close()

    def test_without_a_renderer_the_package_is_named(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "nothing")
        with pytest.raises(UserError, match="libegl1") as error:
            Environment(EnvConfig(id="BlockPush-v0", kwargs={"pixels": True}))
        assert "\n" not in str(error.value)

    def test_a_missing_library_is_one_line(self, tmp_path):
        """MuJoCo itself fails on import then, with an error that names neither cause nor remedy."""
        (tmp_path / "OpenGL").mkdir()
        stand_in = "raise AttributeError(\"'NoneType' object has no attribute 'glGetError'\")"
        (tmp_path / "OpenGL/__init__.py").write_text(stand_in)
        clean = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}  # others set it
        done = subprocess.run(
            [sys.executable, "-c", "import envs, gymnasium as gym; gym.make('BlockPush-v0')"],
            env={**clean, "MUJOCO_GL": "osmesa", "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "libosmesa6" in done.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"arm": "crane"},
            {"tolerance": 0.0},
            {"tolerance": np.inf},
            {"image_size": (3,)},
            {"image_size": 240},
            {"action_noise_std": np.nan},
            {"render_mode": "human"},
        ],
    )
    def test_nonsense_is_refused(self, kwargs):
        with pytest.raises(ValueError, match=f"{next(iter(kwargs))}="):
            BlockPushEnv(**kwargs)


def success_of_expert(task, seeds, *overrides):
    env = config(task, *overrides)
    envs = [Environment(EnvConfig.from_mapping(env)) for _ in range(4)]
    episodes = rollout(envs, Controller(construct(env["expert"], "expert")), seeds)
    return np.mean([is_success(episode, env["success_when"]) for episode in episodes])


class TestExpert:
    @pytest.mark.parametrize(
        "task",  # test_block_sort.py has its own, of shares of long episodes
        [task for task in TASKS if config(task).get("expert") and task != "block_sort"],
    )
    def test_solves_the_task(self, task):
        assert success_of_expert(task, range(20)) >= 0.9

    @pytest.mark.slow
    @pytest.mark.parametrize("arm", ARMS)
    @pytest.mark.parametrize(
        ("task", "rate"),
        [
            ("block_reach", 0.99),
            ("block_push", 0.99),
            ("block_push_discontinuous", 0.98),
            ("block_push_multimodal", 0.98),
            ("block_insert", 0.90),
        ],
    )
    def test_success_over_a_thousand_seeds(self, task, rate, arm):
        assert success_of_expert(task, range(1000), f"env.arm={arm}") >= rate

    def test_the_same_observation_gets_the_same_action(self):
        """What a policy without memory needs of its teacher."""
        env = make("block_push")
        obs, _ = env.reset(seed=3)
        expert = PushExpert()
        for _ in range(20):
            window = {name: value[None, None] for name, value in obs.items()}
            action = expert.act([0], window)
            np.testing.assert_array_equal(action, PushExpert().act([7], window))
            obs, *_ = env.step(action[0, 0])

    def test_all_four_ways_are_shown(self):
        """Which block moves first, and to which zone it goes."""
        env, seen = make("block_push_multimodal"), set()
        expert = construct(config("block_push_multimodal")["expert"], "expert")
        for seed in range(24):
            obs, info = env.reset(seed=seed)
            expert.reset(0, seed)
            while not info.get("num_placed"):
                window = {name: value[None, None] for name, value in obs.items()}
                obs, *_, info = env.step(expert.act([0], window)[0, 0])
            distances = np.linalg.norm(
                env.simulation.blocks[:, None, :2] - env.simulation.targets[None, :, :2], axis=-1
            )
            seen.add(int(distances.argmin()))
        assert seen == {0, 1, 2, 3}

    def test_nudges_move_the_set_point_in_a_part_of_the_steps(self):
        """And by the stated deviation; without them the set-point is where the action put it."""
        moves = []
        for std in (0.0, 0.02):
            env = make("block_push", action_noise_std=std)
            env.reset(seed=1)
            before = env.simulation.setpoint.copy()
            for _ in range(400):
                env.step(np.zeros(2, np.float32))
                moves.append((std, *(env.simulation.setpoint - before)))
                before = env.simulation.setpoint.copy()
                if np.abs(before - TOOL_START).max() > 0.09:  # before the workspace holds it back
                    env.reset(seed=2)
                    before = env.simulation.setpoint.copy()
        array = np.array(moves)
        still, nudged = array[array[:, 0] == 0][:, 1:], array[array[:, 0] > 0][:, 1:]
        assert not still.any()
        some = nudged[np.abs(nudged).max(1) > 1e-9]
        assert 0.1 < len(some) / len(nudged) < 0.2
        assert 0.014 < some.std() < 0.026

    def test_midway_starts_are_unsolved_and_apart_and_leave_evaluation_alone(self):
        """Some blocks are on their ways, the rod is free of both; without them a seed draws what it always drew."""
        usual, midway = (
            make("block_push_multimodal"),
            make("block_push_multimodal", init_midway_prob=1.0),
        )
        rods, moved = set(), 0
        for seed in range(40):
            (start, _), (obs, info) = usual.reset(seed=seed), midway.reset(seed=seed)
            assert np.array_equal(start["effector_target_translation"], np.float32(TOOL_START))
            blocks = [obs["block_translation"], obs["block2_translation"]]
            rod = obs["effector_target_translation"]
            assert np.linalg.norm(blocks[0] - blocks[1]) > MIDWAY_APART - 1e-3
            assert min(np.linalg.norm(block - rod) for block in blocks) > MIDWAY_CLEAR - 1e-3
            assert not info["success"]
            rods.add(tuple(np.round(rod, 3)))
            moved += max(block[1] for block in blocks) > BLOCK_AREA[1] + SPREAD[1] + 0.05
        assert len(rods) == 40
        assert moved > 10

    def test_demonstrations_are_more_exact_than_success_asks(self, tmp_path):
        collect_demonstrations(
            config("block_push"), tmp_path / "demos", num_episodes=3, first_seed=0, num_envs=3
        )
        for episode in read_episodes(tmp_path / "demos"):
            assert np.linalg.norm(episode.obs["block_to_target"][-1]) < 0.01
