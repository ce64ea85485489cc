"""Sorting: what counts as sorted, what is observed, what the expert does."""

import gymnasium as gym
import numpy as np
import pytest
from ibc_envs.block_push import SortExpert
from ibc_envs.block_push.sort import RIM, SEPARATION, START, START_SPREAD
from ibc_envs.block_push.sort_expert import BORDER, COLORS, cost, is_in_place, step


@pytest.fixture(scope="module")
def env():
    found = gym.make("BlockSort-v0").unwrapped
    yield found
    found.close()


def place(env, poses):
    env.simulation.reset(np.array([0.3, -0.4]), [np.array(p) for p in poses], env._places())
    env._begin()
    return env.step(np.zeros(2))


def rows(y_of):
    return [(0.24 + 0.08 * (i % 4), y_of(i), 0.0) for i in range(len(COLORS))]


def act(expert, obs):
    return expert.act([0], {name: value[None, None] for name, value in obs.items()})[0, 0]


def test_each_color_has_a_side():
    assert is_in_place(np.array([0.3, 0.3]), 1)
    assert not is_in_place(np.array([0.3, 0.3]), -1)
    assert is_in_place(np.array([0.3, -BORDER]), -1)
    assert not is_in_place(np.array([0.3, BORDER - 0.001]), 1)


def test_solved_when_all_are_sorted(env):
    env.reset(seed=0)
    _, _, solved, _, info = place(env, rows(lambda i: 0.3 * COLORS[i]))
    assert solved
    assert info["success"] is True
    assert info["sorted_fraction"] == 1.0
    _, _, solved, _, info = place(env, rows(lambda i: 0.3 if i < 4 else 0.05))
    assert not solved
    assert info["sorted_fraction"] == 0.5
    _, _, _, _, info = place(env, rows(lambda i: -0.3 * COLORS[i]))
    assert info["sorted_fraction"] == 0.0


def test_the_reward_is_what_the_share_has_grown_by(env):
    obs, _ = env.reset(seed=3)
    expert, total, first = SortExpert(), 0.0, env._sorted()
    for _ in range(60):
        obs, reward, *_, info = env.step(act(expert, obs))
        total += reward
    assert first + total == pytest.approx(info["sorted_fraction"])
    assert total > 0


def test_blocks_start_apart_and_unsorted(env):
    for seed in range(20):
        obs, info = env.reset(seed=seed)
        places = obs["blocks"][:, :2]
        assert (np.abs(places - START) <= np.array(START_SPREAD) + 0.002).all()
        gaps = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(len(COLORS))
        assert gaps.min() > SEPARATION - 0.002
        assert info["sorted_fraction"] == 0.0


def test_demonstrations_may_begin_with_sorted_blocks():
    half = gym.make("BlockSort-v0", init_midway_prob=1.0).unwrapped
    shares = [half.reset(seed=seed)[1]["sorted_fraction"] for seed in range(10)]
    assert 0.2 < np.mean(shares) < 0.8
    half.close()


def test_observation(env):
    obs, _ = env.reset(seed=1)
    assert env.observation_space.contains(obs)
    blocks = obs["blocks"]
    np.testing.assert_allclose(
        blocks[:, 2:4], blocks[:, :2] - obs["effector_target_translation"], atol=1e-6
    )
    np.testing.assert_allclose(np.hypot(blocks[:, 4], blocks[:, 5]), 1.0, atol=1e-6)
    np.testing.assert_array_equal(blocks[:, 6], COLORS)
    np.testing.assert_array_equal(obs["blocks_mask"], 1)


def test_the_rim_keeps_blocks_where_the_rod_gets_behind_them(env):
    """Pushed against the rim for two seconds, a block stays inside it."""
    env.reset(seed=0)
    place(env, [(0.5, 0.0, 0.0), *rows(lambda i: 0.3 * COLORS[i])[1:]])
    env.simulation.setpoint = np.array([0.45, 0.0])
    for _ in range(20):
        env.step(np.array([0.03, 0.0]))
    assert env.simulation.blocks[0, 0] < RIM[1][0] - 0.015


def test_the_expert_stays_with_the_block_it_has_begun_with():
    """From behind a block, that block costs least."""
    places = np.array(rows(lambda i: 0.05 * COLORS[i]))[:, :2]  # nothing stands in the way
    for i in range(len(COLORS)):
        rod = places[i] - (0.0, 0.045 * COLORS[i])
        costs = [cost(j, places, COLORS, rod) for j in range(len(COLORS))]
        assert int(np.argmin(costs)) == i


def test_the_expert_rests_when_all_is_done():
    blocks = np.zeros((8, 7))
    blocks[:, :3] = rows(lambda i: 0.3 * COLORS[i])
    blocks[:, 6] = COLORS
    np.testing.assert_array_equal(step(blocks, np.array([0.3, 0.0])), 0)


def test_the_expert_is_a_rule_of_the_observation(env):
    obs, _ = env.reset(seed=4)
    first, second = SortExpert(), SortExpert()
    for _ in range(25):
        action = act(first, obs)
        obs, *_ = env.step(action)
    np.testing.assert_array_equal(act(first, obs), act(second, obs))


def share_of_the_expert(seeds):
    env = gym.make("BlockSort-v0")
    expert, shares = SortExpert(), []
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        done = False
        while not done:
            obs, _, solved, late, info = env.step(act(expert, obs))
            done = solved or late
        shares.append(info["sorted_fraction"])
    env.close()
    return np.mean(shares)


def test_expert_sorts():
    assert share_of_the_expert(range(2)) >= 0.9


@pytest.mark.slow
def test_expert_sorts_nearly_all_blocks():
    assert share_of_the_expert(range(1000, 1200)) >= 0.95


def test_every_corner_is_in_the_picture():
    env = gym.make("BlockSort-v0", pixels=True, image_size=(60, 208)).unwrapped
    (x0, y0), (x1, y1) = RIM
    corners = [(x, y) for x in (x0 + 0.03, x1 - 0.03) for y in (y0 + 0.03, y1 - 0.03)]
    poses = [(*at, 0.0) for at in [*corners, (0.3, -0.1), (0.3, 0.0), (0.3, 0.1), (0.45, 0.0)]]
    seen = place(env, poses)[0]["rgb"].astype(int)
    env.close()
    blue = (seen[..., 2] > 150) & (seen[..., 0] < 60)  # upper faces; the places themselves are pale
    for rows_of, columns in [
        (r, c) for r in (slice(15), slice(42, 60)) for c in (slice(40), slice(168, 208))
    ]:
        assert blue[rows_of, columns].sum() > 20


@pytest.mark.parametrize("task", ["BlockInsert", "BlockSort"])
def test_a_tolerance_that_has_no_effect_is_refused(task):
    with pytest.raises(ValueError, match="tolerance: this task has none"):
        gym.make(f"{task}-v0", tolerance=0.1)
