"""Sweeping pieces into a zone in the plane: ``PlanarSweep-v0`` (IBC paper, section 4).

Only the expert can be imported from here. The environment imports Pymunk; Gymnasium imports it when one is made.
"""

from ibc_envs.planar_sweep.expert import PlanarSweepExpert

__all__ = [
    "PlanarSweepExpert",
]
