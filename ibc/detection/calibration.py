"""Calibrate a detector on episodes that went well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.data import Episode
from ibc.data.dataset import window_index
from ibc.detection.decision import NUM_SEARCHES, Decision, SameForEach
from ibc.detection.detector import (
    Detector,
    check_settings,
    episodes_needed,
    fingerprints,
    running_mean,
    standardized,
)
from ibc.detection.scores import Score
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, Policy
from ibc.spec import PREVIOUS_ACTION, Obs

#: Decisions that are scored at once.
AT_ONCE = 128
#: Decisions before and after one whose scores are taken together, and the fewest that there must be.
AROUND, FEWEST = 2, 20
#: Least standard deviation at one time, in those of all times, and of all.
LEAST_SHARE, LEAST_SCALE = 0.2, 1e-9


def calibrate(
    policy: Policy,
    episodes: Sequence[Episode],
    *,
    scores: Sequence[Score],
    false_alarms: float = 0.05,
    window: int = 5,
    num_execute_steps: int | None = None,
) -> Detector:
    """Make a detector from episodes that went well: demonstrations the policy was not trained on, or its own successes.

    Half of them, every second one, is the reference: distances are measured from it, and scores are standardized by
    it. The others give the thresholds (:class:`Detector`). Scores are those of the policy's own decisions at the steps
    in which a controller would ask it. Where the policy acts more slowly or differently than demonstrators, its own
    successful episodes keep the rate of false alarms and demonstrations do not.

    Args:
        policy: whose decisions are judged.
        episodes: exchangeable, such as those of different seeds.
        scores: not fitted yet.
        false_alarms: share of such episodes that may have a decision in doubt.
        window: decisions that are averaged.
        num_execute_steps: actions of a chunk that are executed; all of them if None.

    Raises:
        UserError: too few episodes for the rate, or a score that the policy has no use for.
    """
    check_settings(scores, false_alarms, window)
    needed = 2 * episodes_needed(false_alarms)
    if len(episodes) < needed:
        raise UserError(
            f"{len(episodes)} episodes; false_alarms={false_alarms:g} needs {needed}: half for the scores, "
            "half for the threshold"
        )
    every = num_execute_steps or policy.spec.action_horizon
    decisions = [decisions_of(policy, episode, every) for episode in episodes]
    fit(scores, decisions[::2])
    measured = [score_decisions(scores, parts) for parts in decisions]
    center, scale = statistics(scores, measured[::2])
    largest = [
        running_mean(standardized(one, np.arange(len(one)), center, scale), window).max()
        for one in measured[1::2]
    ]
    return Detector(
        scores,
        center,
        scale,
        np.array(largest),
        false_alarms=false_alarms,
        window=window,
        weights=fingerprints(policy),
        num_execute_steps=every,
    )


def fit(scores: Sequence[Score], reference: Sequence[Sequence[Decision]]) -> None:
    """Let scores learn from the decisions of reference episodes."""
    fitted = [score for score in scores if score.fitted]
    if not fitted:
        return
    features = torch.cat([part.features for parts in reference for part in parts])
    lengths = [sum(len(part.action) for part in parts) for parts in reference]
    remaining = torch.cat([torch.arange(length, 0, -1) for length in lengths]).to(features)
    for score in fitted:
        score.fit(features, remaining)


def statistics(
    scores: Sequence[Score], reference: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (T, S) of scores by the number of the decision, from those (T_i, S) of each episode.

    They end where fewer episodes than give ``FEWEST`` scores are that long.
    """
    every = np.concatenate(reference)
    means, stds = [every.mean(0)], [every.std(0)]
    for number in range(max(map(len, reference))):
        near = [one[max(0, number - AROUND) : number + AROUND + 1] for one in reference]
        now = np.concatenate(
            [part for part, one in zip(near, reference, strict=True) if len(one) > number]
        )
        if len(now) < FEWEST:
            break
        means.append(now.mean(0))
        stds.append(np.maximum(now.std(0), LEAST_SHARE * stds[0]))
    center, scale = (np.stack(one[1:] or one) for one in (means, stds))
    for column, score in enumerate(scores):
        if not score.by_number:
            center[:, column], scale[:, column] = means[0][column], stds[0][column]
    return center, scale.clip(LEAST_SCALE)


def decisions_of(policy: Policy, episode: Episode, every: int) -> list[Decision]:
    """The policy's own decisions on what was observed in an episode, at every so many steps."""
    device = next(policy.parameters()).device
    steps = np.arange(0, len(episode.action), every)
    parts = []
    for start in range(0, len(steps), AT_ONCE):
        some = steps[start : start + AT_ONCE]
        index = window_index(some, policy.spec.obs_horizon)
        obs: Obs = {
            name: torch.from_numpy(np.asarray(episode.obs[name])[index]).to(device)
            for name in policy.spec.obs
        }
        if isinstance(policy, ComposedPolicy):
            obs |= _of_terms(policy, episode, some, index, device)
        with torch.no_grad():
            action = policy.act_flat(obs, SameForEach(NUM_SEARCHES, device))
        number = torch.arange(start, start + len(some), device=device)
        parts.append(Decision(policy, obs, action, number))
    return parts


def _of_terms(
    policy: ComposedPolicy,
    episode: Episode,
    steps: NDArray[np.int64],
    index: NDArray[np.int64],
    device: torch.device,
) -> Obs:
    """What terms of a composition may see beside the policy: the last action, and the episode's other numbers."""
    unknown = np.full((1, policy.spec.action_dim), np.nan, np.float32)
    previous = np.concatenate([unknown, episode.action])[steps]
    obs: Obs = {PREVIOUS_ACTION: torch.from_numpy(previous[:, None]).to(device)}
    for name, array in episode.obs.items():
        if name not in policy.spec.obs and isinstance(array, np.ndarray):
            obs[name] = torch.from_numpy(array[index]).to(device)
    return obs


def score_decisions(scores: Sequence[Score], parts: Sequence[Decision]) -> NDArray[np.float64]:
    """Every score (T, S) of the decisions of one episode."""
    rows = [torch.stack([score(part) for score in scores], 1) for part in parts]
    measured: NDArray[np.float64] = torch.cat(rows).double().cpu().numpy()
    return measured
