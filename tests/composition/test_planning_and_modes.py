"""Planning by messages, several modes and their OOD score, constraints together."""

import ibc_envs  # noqa: F401
import numpy as np
import pytest
import torch
from ibc_envs.particle import ParticleExpert
from known_energies import Gaussian, rng, run

from ibc.composition import AllOf, AnyOf
from ibc.constraints import (
    AccelerationLimit,
    Constraint,
    DeltaPositionControl,
    KeepOutBox,
    KeepOutDisk,
    NearGoal,
    SpeedLimit,
    StayWithin,
    Trajectory,
    WaypointGuided,
)
from ibc.control import Controller
from ibc.energies import Box, action_gradient
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.rollout import rollout
from ibc.nn import ActionBounds
from ibc.policies import action_modes, ood_score
from ibc.samplers import Candidates, GradientDescent

BATCH = 3


def target(*rows):
    return torch.tensor(rows, dtype=torch.float32).unsqueeze(1)


class TestTrajectory:
    WALL = (-0.2, -2.0), (0.2, 0.5)

    def plan(self, start, goal):
        wall = KeepOutBox(*self.WALL)
        trajectory = Trajectory("start", "goal", [wall], low=[-1.0, -1.0], high=[1.0, 1.0])
        obs = {"start": target(*start), "goal": target(*goal)}
        return trajectory, obs

    def test_a_free_way_is_straight(self):
        trajectory, obs = self.plan([[-0.8, 0.0]], [[-0.5, 0.7]])
        path = trajectory.path(obs)[0].tolist()
        start, goal = torch.tensor([[-0.8, 0.0], [-0.5, 0.7]]).tolist()
        assert path[0] == start
        assert path[-1] == goal
        assert all(state in (start, goal) for state in path)

    def test_a_wall_is_gone_round_by_nearly_the_shortest_way(self):
        """A tight string over the wall's two upper corners is the shortest way there is."""
        trajectory, obs = self.plan([[-0.8, -0.5]], [[0.8, -0.5]])
        path = trajectory.path(obs)[0]
        pieces = torch.linspace(0, 1, 50)[:, None, None]
        points = path[:-1] + pieces * (path[1:] - path[:-1])
        inside = KeepOutBox(*self.WALL).excess(points.reshape(1, -1, 1, 2), obs)
        assert inside.max() < 0.02
        length = float(path.diff(dim=0).norm(dim=-1).sum())
        shortest = 2 * np.hypot(0.6, 1.0) + 0.4
        assert shortest - 0.05 < length < 1.15 * shortest

    def test_observations_are_planned_for_one_by_one(self):
        starts, goals = [[-0.8, -0.5], [0.9, 0.9]], [[0.8, -0.5], [0.6, -0.9]]
        trajectory, obs = self.plan(starts, goals)
        both = trajectory.path(obs)
        for b in range(2):
            _, one = self.plan(starts[b : b + 1], goals[b : b + 1])
            torch.testing.assert_close(trajectory.path(one)[0], both[b])

    def test_the_goal_is_replaced_by_the_next_waypoint(self):
        trajectory, obs = self.plan([[-0.8, -0.5]], [[0.8, -0.5]])
        waypoints = []

        def replace_goal(obs, point):
            waypoints.append(point)
            return {"pos": point.unsqueeze(1)}

        energy = Gaussian([0.0, 0.0], 1.0)
        WaypointGuided(energy, trajectory, ahead=0.1, replace_goal=replace_goal).bind(obs)
        assert torch.equal(waypoints[0], trajectory.waypoint(obs, 0.1))
        assert float(waypoints[0][0, 1]) > 0.3  # upwards, over the wall

    def test_a_constraint_of_the_user_may_ask_for_an_observation_by_its_key(self):
        class StayLeft(Constraint):
            def excess(self, points, obs):
                return points[..., 0] - obs["border"][:, -1, None]

        obs = {"start": target([-0.8, 0.0]), "goal": target([-0.2, 0.0]), "border": target([0.5])}
        made = Trajectory("start", "goal", [StayLeft()], low=[-1.0, -1.0], high=[1.0, 1.0])
        assert made.path(obs).shape[-1] == 2
        del obs["border"]
        with pytest.raises(UserError, match="term StayLeft needs observation 'border'"):
            made.path(obs)

    def test_obstacles_that_are_observed_are_planned_for_where_they_are(self):
        """As those whose place is given, which are looked at once."""
        obs = {"start": target([-0.8, 0.0]), "goal": target([0.8, 0.0]), "disk": target([0.0, 0.1])}
        paths = [
            Trajectory("start", "goal", [disk], low=[-1.0, -1.0], high=[1.0, 1.0]).path(obs)
            for disk in (KeepOutDisk("disk", 0.3), KeepOutDisk([0.0, 0.1], 0.3))
        ]
        torch.testing.assert_close(*paths)
        moved = {**obs, "disk": target([0.0, 0.9])}
        trajectory = Trajectory(
            "start", "goal", [KeepOutDisk("disk", 0.3)], low=[-1.0, -1.0], high=[1.0, 1.0]
        )
        assert float(trajectory.path(moved)[0, :, 1].abs().max()) == 0.0  # straight again

    def test_a_room_far_from_the_origin_has_the_same_paths(self):
        def path(offset):
            disk = KeepOutDisk([offset, offset + 0.1], 0.3)
            obs = {"start": target([offset - 0.8, offset]), "goal": target([offset + 0.8, offset])}
            low, high = [offset - 1.0] * 2, [offset + 1.0] * 2
            return Trajectory("start", "goal", [disk], low=low, high=high).path(obs) - offset

        torch.testing.assert_close(path(1024.0), path(0.0), rtol=0, atol=1e-3)

    def test_nonsense(self):
        with pytest.raises(UserError, match="has no constraints"):
            Trajectory("a", "b", [], low=[0.0], high=[1.0])
        with pytest.raises(UserError, match="the box is empty"):
            Trajectory("a", "b", [KeepOutDisk([0.0], 0.1)], low=[1.0], high=[0.0])


class TestModes:
    def search(self, energy, obs):
        bounds = ActionBounds(2)
        start = torch.rand(BATCH, 32, 2) * 2 - 1
        sampler = GradientDescent(
            num_candidates=32, num_iterations=60, step_init=0.02, step_final=0.001
        )
        return run(sampler, energy, start, bounds, rng()), Box.of(bounds)

    @pytest.mark.parametrize("share", [0.5, 0.2])
    def test_two_modes_with_their_masses(self, share):
        obs = {"pos": torch.rand(BATCH, 1, 2)}
        left, right = Gaussian([-0.5, 0.0], 0.15), Gaussian([0.5, 0.2], 0.15)
        energy = AnyOf(left, right, weights=[share, 1 - share]).bind(obs)
        found, box = self.search(energy, obs)
        for modes in action_modes(energy, found, box, separation=0.3):
            by_x = {
                round(float(a[0]), 1): float(m)
                for a, m in zip(modes.action, modes.mass, strict=True)
            }
            assert float(modes.mass.sum()) == pytest.approx(1.0, abs=1e-4)
            assert by_x[-0.5] == pytest.approx(share, abs=0.04)
            assert by_x[0.5] == pytest.approx(1 - share, abs=0.04)

    def test_nonsense(self):
        obs = {"pos": torch.rand(BATCH, 1, 2)}
        energy = Gaussian([0.0, 0.0], 0.3).bind(obs)
        candidates = Candidates(torch.zeros(BATCH, 1, 2), torch.zeros(BATCH, 1))
        box = Box.of(ActionBounds(2))
        with pytest.raises(UserError, match="separation=0.0, temperature=1.0"):
            action_modes(energy, candidates, box, separation=0.0)

    def test_ood_score_is_zero_for_the_bowl_that_denoising_trains(self):
        """And grows with the square of what the curvature is off by."""
        obs = {"pos": torch.rand(BATCH, 1, 2)}
        best = Candidates(torch.full((BATCH, 1, 2), 0.2), torch.zeros(BATCH, 1))
        for std, expected in ((1.0, 0.0), (0.5, 9.0)):
            energy = Gaussian([0.2, 0.2], std).bind(obs)
            found = ood_score(energy, best, ActionBounds(2))
            torch.testing.assert_close(found, torch.full((BATCH,), expected), atol=1e-4, rtol=1e-4)


class TestConstraintGroup:
    def test_several_constraints_are_the_sum_of_each(self):
        """However they are grouped and stacked, with weights, for one observation and for several."""
        for batch in (1, BATCH):
            obs = {
                "pos": torch.rand(batch, 1, 2).double(),
                "disk": torch.rand(batch, 1, 2).double(),
                "vel": torch.randn(batch, 1, 2).double(),
            }
            constraints = [
                KeepOutDisk([0.2, 0.1], 0.5, model=DeltaPositionControl("pos")),
                KeepOutDisk("disk", 0.4, model=DeltaPositionControl("pos")),
                KeepOutDisk("disk", 0.3),
                SpeedLimit(0.1, model=DeltaPositionControl("pos")),
                AccelerationLimit(0.1, "vel", model=DeltaPositionControl("pos")),
                NearGoal("disk", 0.1, model=DeltaPositionControl("pos")),
                StayWithin([0.2, 0.2], [0.5, 0.5], model=DeltaPositionControl("pos")),
            ]
            weights = [1.0, 2.0, 0.5, 3.0, 0.1, 1.5, 0.7]
            action = torch.randn(batch, 50, 4).double()
            whole = AllOf(*constraints, weights=weights).bind(obs)
            alone = [constraint.bind(obs) for constraint in constraints]
            energy = sum(w * one(action) for w, one in zip(weights, alone, strict=True))
            gradient = sum(
                w * one.action_gradient(action) for w, one in zip(weights, alone, strict=True)
            )
            torch.testing.assert_close(whole(action), energy)
            torch.testing.assert_close(action_gradient(whole, action), gradient)


class TestParticleProgress:
    def test_progress_is_told_and_goes_on_from_anywhere(self):
        env = Environment(
            EnvConfig(
                id="Particle-v0", kwargs={"observe_progress": True, "random_init_state": True}
            )
        )
        under_way = 0
        for episode in rollout([env], Controller(ParticleExpert()), range(20)):
            summarize_reports = episode.obs["reached_first"][:, 0]
            assert (np.diff(summarize_reports) >= 0).all()
            under_way += summarize_reports[0] == 1
            if summarize_reports[0]:
                np.testing.assert_allclose(episode.action[0], episode.obs["pos_second_goal"][0])
            assert episode.success[-1]
        assert 4 <= under_way <= 16
