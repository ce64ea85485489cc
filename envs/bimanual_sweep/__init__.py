"""Scooping pieces into two bowls with two arms: ``BimanualSweep-v0`` (IBC paper, section 4).

Only the expert can be imported from here. The environment imports MuJoCo, which chooses how it renders on being
imported; Gymnasium imports it when one is made.
"""

from ibc_envs.bimanual_sweep.expert import BimanualSweepExpert

__all__ = [
    "BimanualSweepExpert",
]
