"""Environments that single studies need."""

import numpy as np
import pytest

from benchmarks.envs.particle_corridor import CorridorExpert, distance_to_corridor
from benchmarks.envs.particle_obstacles import CLEARANCE
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.rollout import rollout


def test_obstacles_keep_clear_of_start_and_goals():
    env = Environment(EnvConfig(id="ParticleObstacles-v0", kwargs={"speed": 0.15}))
    counts = set()
    for seed in range(60):
        obs = env.reset(seed)
        present = 0
        for k in (1, 2, 3):
            center, velocity = obs[f"pos_obstacle_{k}"], obs[f"vel_obstacle_{k}"]
            if center[0] < -5:
                continue
            present += 1
            for t in np.linspace(0, 75 * 0.05, 40):
                for name in ("agent", "first_goal", "second_goal"):
                    gap = np.linalg.norm(center + t * velocity - obs[f"pos_{name}"]) - 0.1
                    assert gap > CLEARANCE - 1e-3
        counts.add(present)
    assert counts >= {1, 2, 3}


def test_contact_is_noticed_between_steps():
    env = Environment(EnvConfig(id="ParticleObstacles-v0", kwargs={"num_obstacles": 1}))
    obs = env.reset(0)
    towards = obs["pos_obstacle_1"] + 0.3 * (obs["pos_obstacle_1"] - obs["pos_agent"])
    for _ in range(40):
        obs, _, success, terminated, _ = env.step(towards)
        if terminated:
            break
    assert obs["touched"] == 1
    assert not success


def test_the_wanderer_stays_in_the_corridor():
    env = Environment(EnvConfig(id="ParticleCorridor-v0", kwargs={"goals": False}))
    for episode in rollout([env], Controller(CorridorExpert()), range(3)):
        assert episode.success.all()


def test_the_wanderer_prefers_nothing():
    """At rest in the corner it goes into either arm as often as their lengths say."""
    one, expert = np.array([0.5, 0.5]), CorridorExpert()
    expert.reset(0, 0)
    obs = {"pos_agent": one, "vel_agent": 0 * one, "corner": one, "ends": np.array([0.8, 0.7])}
    window = {name: value[None, None].astype(np.float32) for name, value in obs.items()}
    points = np.stack([expert.act([0], window)[0, 0] for _ in range(400)])
    x, y = (points - 0.5 > 0.06).mean(0)
    assert x / y == pytest.approx(0.3 / 0.2, rel=0.25)


def test_distance_to_the_corridor_by_hand():
    corner, ends = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    points = np.array([[0.7, 0.5], [0.5, 0.2], [0.8, 0.3], [0.4, 0.5], [0.95, 0.5]])
    found = distance_to_corridor(points, corner, ends)
    np.testing.assert_allclose(found, [0.0, 0.0, 0.2, 0.1, 0.05], atol=1e-12)


def test_nothing_lies_on_the_block_or_the_target():
    env = Environment(EnvConfig(id="BlockPushZone-v0"))
    for seed in range(10):
        obs = env.reset(seed)
        for name in ("block_translation", "target_translation"):
            assert np.linalg.norm(obs[name] - obs["zone"]) > 0.09
