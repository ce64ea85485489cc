"""Demonstrations: episodes, the store they are kept in, readers of other formats, training windows."""

from ibc.data.dataset import ShuffledIndices as ShuffledIndices
from ibc.data.dataset import WindowDataset as WindowDataset
from ibc.data.episode import Episode as Episode
from ibc.data.episode import InvalidEpisode as InvalidEpisode
from ibc.data.formats import read_episodes as read_episodes
from ibc.data.loading import load_dataset as load_dataset
from ibc.data.pictures import fit_picture as fit_picture
from ibc.data.store import DemonstrationWriter as DemonstrationWriter
from ibc.data.transforms import keep_best as keep_best
from ibc.data.transforms import reweight_by_return as reweight_by_return
from ibc.data.transforms import temporal_subsample as temporal_subsample
