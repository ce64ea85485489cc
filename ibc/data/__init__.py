"""Demonstrations: episodes, the store they are kept in, readers of other formats, training windows."""

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.readers import read_episodes
from ibc.data.store import DemonstrationWriter
from ibc.data.windows import ShuffledIndices, WindowDataset

__all__ = [
    "DemonstrationWriter",
    "Episode",
    "InvalidEpisode",
    "ShuffledIndices",
    "WindowDataset",
    "read_episodes",
]
