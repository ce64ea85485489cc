"""Pushing round a forbidden zone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchmarks.composition.closed_loop import Settings, run_episodes, trained
from ibc.cli.config import compose
from ibc.constraints import DeltaPositionControl, KeepOutDisk, PositionControl
from ibc.constraints.planning import Trajectory, WaypointGuided
from ibc.energies import AllOf
from ibc.policies import ComposedPolicy
from ibc.spec import Obs

#: Radius of the zone (m), for the rod, and for the block with the rod traveling round it.
RADIUS, ROD, BLOCK = 0.03, 0.01, 0.07
#: Way points are at least so far from the block (m).
AHEAD = 0.06


def block_push(settings: Settings) -> list[dict[str, Any]]:
    """The block is led round the zone by a trajectory energy, the rod kept out of it by a constraint."""
    policy, _ = trained("block_push_states", settings)
    env = compose("train", ["env=block_push_zone"])["env"]
    rows = [run_episodes(policy, env, settings.seeds).row("without", "entered")]
    way = Trajectory(
        "block_translation",
        "target_translation",
        [KeepOutDisk("zone", RADIUS + BLOCK, model=PositionControl(), strength=1e4)],
        low=[0.2, -0.4],
        high=[0.65, 0.4],
    )
    rod = KeepOutDisk(
        "zone", RADIUS + ROD, model=DeltaPositionControl("effector_target_translation")
    )
    energy = AllOf(WaypointGuided(policy.energy, way, ahead=AHEAD, tell=_tell), rod)
    careful = ComposedPolicy(policy, energy, hard=True)
    return [*rows, run_episodes(careful, env, settings.seeds).row("hard", "entered")]


def _tell(obs: Obs, target: Tensor) -> Obs:
    there = target.unsqueeze(1).expand_as(obs["target_translation"])
    return {
        **obs,
        "target_translation": there,
        "block_to_target": there - obs["block_translation"],
    }
