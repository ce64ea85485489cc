"""Sweeping pieces into a zone in the plane (IBC paper, section 4). Only the expert is exported here.

The environment imports Pymunk; Gymnasium imports it when one is made.
"""

from ibc_envs.planar_sweep.expert import PlanarSweepExpert

__all__ = [
    "PlanarSweepExpert",
]
