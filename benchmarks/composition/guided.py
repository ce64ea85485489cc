"""Policies led around regions that they were never shown, by a trajectory energy."""

from torch import Tensor

from benchmarks.composition.episodes import Settings, env_config, load_trained, measure_all
from benchmarks.results import Row
from ibc.composition import AllOf
from ibc.constraints import DeltaPositionControl, KeepOutBox, KeepOutDisk, PositionControl
from ibc.constraints.planning import Trajectory, WaypointGuided
from ibc.policies import ComposedPolicy
from ibc.spec import Obs

#: Radius of the zone (m), and distance kept by the rod, and by the block with the rod traveling around it.
RADIUS, ROD, BLOCK = 0.03, 0.01, 0.07
#: New walls of the maze, a pocket across the straight way: left, right, bottom and top (m); distance kept by the point.
WALLS = ((-1.5, 1.5, 0.5, 1.5), (0.5, 1.5, -0.5, 0.5), (-1.5, 1.5, -1.5, -0.5))
CLEARANCE = 0.25
#: Least distance of waypoints from the block, and from the point (m).
AHEAD_BLOCK, AHEAD_POINT = 0.06, 0.6


def block_push(settings: Settings) -> list[Row]:
    """Pushing around a forbidden zone: the block follows a trajectory, the rod is kept out by a constraint."""
    policy, _ = load_trained("block_push_states", settings)
    env = env_config("block_push_zone")
    trajectory = Trajectory(
        "block_translation",
        "target_translation",
        [KeepOutDisk("zone", RADIUS + BLOCK, model=PositionControl(), strength=1e4)],
        low=[0.2, -0.4],
        high=[0.65, 0.4],
    )
    model = DeltaPositionControl("effector_target_translation")
    rod = KeepOutDisk("zone", RADIUS + ROD, model=model)
    guided = WaypointGuided(
        policy.energy, trajectory, ahead=AHEAD_BLOCK, replace_goal=_replace_target
    )
    careful = ComposedPolicy(policy, AllOf(guided, rod), hard=True)
    return measure_all({"without": policy, "hard": careful}, env, settings, "entered")


def maze(settings: Settings) -> list[Row]:
    """A maze with walls that were not there in its demonstrations, whose policy goes straight to goals."""
    policy, _ = load_trained("maze_hall", settings)
    env = env_config("point_hall", "env.id=ibc/PointMaze_Pocket-v3")
    walls = [
        KeepOutBox([left - CLEARANCE, bottom - CLEARANCE], [right + CLEARANCE, top + CLEARANCE])
        for left, right, bottom, top in WALLS
    ]
    trajectory = Trajectory(
        "achieved_goal", "desired_goal", walls, low=[-3.3, -2.3], high=[3.3, 2.3]
    )
    guided = WaypointGuided(
        policy.energy, trajectory, ahead=AHEAD_POINT, replace_goal=_replace_goal
    )
    led = ComposedPolicy(policy, guided)
    return measure_all({"without": policy, "trajectory energy": led}, env, settings)


def _replace_target(obs: Obs, target: Tensor) -> Obs:
    there = target.unsqueeze(1).expand_as(obs["target_translation"])
    block_to_target = there - obs["block_translation"]
    return {**obs, "target_translation": there, "block_to_target": block_to_target}


def _replace_goal(obs: Obs, goal: Tensor) -> Obs:
    return {**obs, "desired_goal": goal.unsqueeze(1).expand_as(obs["desired_goal"])}
