"""Demonstrations: episodes, the store they are kept in, readers of other formats, training windows."""

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.readers import read_episodes
from ibc.data.selection import keep_best, repeat_by_return
from ibc.data.store import DemonstrationWriter
from ibc.data.tempo import sped_up
from ibc.data.windows import ShuffledIndices, WindowDataset

__all__ = [
    "DemonstrationWriter",
    "Episode",
    "InvalidEpisode",
    "ShuffledIndices",
    "WindowDataset",
    "keep_best",
    "read_episodes",
    "repeat_by_return",
    "sped_up",
]
