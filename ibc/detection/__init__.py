"""How usual a decision is: scores, calibrated on episodes that went well."""

from ibc.detection.calibration import calibrate
from ibc.detection.decision import Decision
from ibc.detection.detector import Detector
from ibc.detection.scores import (
    Committee,
    DenoisingError,
    Disagreement,
    Elapsed,
    ExpectedDuration,
    GradientResidual,
    Mahalanobis,
    NearestNeighbors,
    RunnerUp,
    Score,
)

__all__ = [
    "Committee",
    "Decision",
    "DenoisingError",
    "Detector",
    "Disagreement",
    "Elapsed",
    "ExpectedDuration",
    "GradientResidual",
    "Mahalanobis",
    "NearestNeighbors",
    "RunnerUp",
    "Score",
    "calibrate",
]
