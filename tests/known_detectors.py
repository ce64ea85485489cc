"""Detectors whose confidence is known by hand."""

import numpy as np

from ibc import Detector
from ibc.detection import Score


class FirstEntry(Score):
    """The first number of what is seen."""

    def __call__(self, decision):
        return decision.obs["state"][:, -1, 0]


def first_entry_detector(window=1, scores=None):
    """Calibration values 0 to 18: an average above 18 is in doubt at a rate of 5 %."""
    scores = scores or [FirstEntry()]
    zeros = np.zeros((1, len(scores)))
    return Detector(scores, zeros, zeros + 0.5, np.arange(19.0), window=window)
