"""Demonstrations: episodes, the store they are kept in, readers of other formats, training windows."""

from ibc.data.dataset import ShuffledIndices, WindowDataset
from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.formats import read_episodes
from ibc.data.loading import load_dataset
from ibc.data.store import DemonstrationWriter
from ibc.data.transforms import keep_best, reweight_by_return, temporal_subsample

__all__ = [
    "DemonstrationWriter",
    "Episode",
    "InvalidEpisode",
    "ShuffledIndices",
    "WindowDataset",
    "keep_best",
    "load_dataset",
    "read_episodes",
    "reweight_by_return",
    "temporal_subsample",
]
