"""A maze with walls that were not there when its demonstrations were made."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchmarks.composition.closed_loop import Settings, run_episodes, trained
from ibc.cli.config import compose
from ibc.constraints import KeepOutBox
from ibc.constraints.planning import Trajectory, WaypointGuided
from ibc.policies import ComposedPolicy
from ibc.spec import Obs

#: The new walls, a pocket across the straight way: left, right, bottom and top (m); and what the point's center keeps.
WALLS = ((-1.5, 1.5, 0.5, 1.5), (0.5, 1.5, -0.5, 0.5), (-1.5, 1.5, -1.5, -0.5))
CLEARANCE = 0.25
#: Way points are at least so far from the point (m).
AHEAD = 0.6


def maze(settings: Settings) -> list[dict[str, Any]]:
    """A policy that learned to go straight to goals, alone, and led by a trajectory energy that knows the walls."""
    policy, _ = trained("maze_hall", settings)
    env = compose("train", ["env=point_hall", "env.id=ibc/PointMaze_Pocket-v3"])["env"]
    walls = [
        KeepOutBox([left - CLEARANCE, bottom - CLEARANCE], [right + CLEARANCE, top + CLEARANCE])
        for left, right, bottom, top in WALLS
    ]
    way = Trajectory("achieved_goal", "desired_goal", walls, low=[-3.3, -2.3], high=[3.3, 2.3])
    led = ComposedPolicy(policy, WaypointGuided(policy.energy, way, ahead=AHEAD, tell=_tell))
    return [
        run_episodes(one, env, settings.seeds).row(name)
        for name, one in (("without", policy), ("trajectory energy", led))
    ]


def _tell(obs: Obs, goal: Tensor) -> Obs:
    return {**obs, "desired_goal": goal.unsqueeze(1).expand_as(obs["desired_goal"])}
