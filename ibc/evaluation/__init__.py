"""Closed-loop evaluation: rollouts, metrics, videos and reports."""

from ibc.evaluation.collect import collect_demonstrations
from ibc.evaluation.evaluate import Evaluation, evaluate
from ibc.evaluation.record import record_video

__all__ = ["Evaluation", "collect_demonstrations", "evaluate", "record_video"]
