"""``ibc/...``: D4RL's pen, kitchen, mazes and locomotion on today's simulators, with success in ``info``."""

from ibc_envs.d4rl.adapter import SuccessInfo
from ibc_envs.d4rl.kitchen import KitchenFixes, LegacyKitchen
from ibc_envs.d4rl.maze_expert import PointMazeExpert, StraightExpert

__all__ = [
    "KitchenFixes",
    "LegacyKitchen",
    "PointMazeExpert",
    "StraightExpert",
    "SuccessInfo",
]
