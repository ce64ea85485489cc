"""Pushing blocks on a table with a rod: ``BlockReach-v0``, ``BlockPush-v0`` and four more (IBC paper, section 4).

Only experts can be imported from here. The environments import MuJoCo, which chooses how it renders on being
imported; Gymnasium imports them when they are made.
"""

from ibc_envs.block_push.expert import (
    DiscontinuousExpert,
    InsertExpert,
    MultimodalExpert,
    PushExpert,
    ReachExpert,
)
from ibc_envs.block_push.sort_expert import SortExpert

__all__ = [
    "DiscontinuousExpert",
    "InsertExpert",
    "MultimodalExpert",
    "PushExpert",
    "ReachExpert",
    "SortExpert",
]
