"""Scores of a decision: high where it is unlike those on demonstrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.component import Component
from ibc.detection.decision import Decision, SameForEach
from ibc.errors import UserError
from ibc.policies import Policy, load_policy
from ibc.policies.modes import ood_score
from ibc.samplers import Candidates, find_modes

#: Standard deviation below which a feature counts as constant, where those of observations are about one.
CONSTANT = 1e-2
#: Share of the identity in a covariance: demonstrations may have fewer directions than there are features.
SHRINKAGE = 1e-2
#: Features of demonstrations that are kept for distances; more are thinned out evenly.
MOST_KEPT = 4096


class Score(Component, ABC):
    """A number for each decision, high where it is unusual.

    Attributes:
        fitted: names of the tensors that :meth:`fit` sets, which are saved with a detector.
        by_number: whether it is compared with scores at the same time in episodes, or with all.
    """

    fitted: ClassVar[tuple[str, ...]] = ()
    by_number: ClassVar[bool] = True

    def fit(self, features: Float[Tensor, "M F"], remaining: Float[Tensor, " M"]) -> None:
        """Learn from demonstrations: the features of decisions, and the decisions that remained of their episodes."""

    @abstractmethod
    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        """Compute the score of each decision; finite.

        Raises:
            UserError: the policy lacks what the score is computed of.
        """


class GradientResidual(Score):
    """How far a step down the gradient would still move the chosen action: RMS over its numbers, in the unit cube.

    Zero at a minimum, and on an edge of the search box that holds the action back.
    """

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        unit, space = decision.unit.unsqueeze(1), decision.space
        moved = space.clamp(unit - space.gradient(unit)) - space.clamp(unit)
        return moved.square().mean(-1).sqrt()[:, 0]


class DenoisingError(Score):
    """How far the energy around the chosen action is from the one that is trained (:func:`ibc.policies.ood_score`)."""

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        chosen = decision.action.unsqueeze(1)
        found = Candidates(chosen, torch.zeros_like(chosen[..., 0]))
        return ood_score(decision.bound, found, decision.bounds)


class RunnerUp(Score):
    """``exp(-gap)``, where the gap is the energy between the best mode and the second: near one where two are as good.

    Args:
        separation: modes are farther apart than this in some dimension, in half-ranges of the data.

    Raises:
        UserError: it is not positive.
    """

    def __init__(self, separation: float = 0.2) -> None:
        if separation <= 0:
            raise UserError(f"separation={separation}; it must be positive")
        self.separation = separation

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        found = Candidates(
            torch.cat([one.action for one in decision.searches], 1),
            torch.cat([one.energy for one in decision.searches], 1),
        )
        scale = decision.bounds.half_range
        modes = find_modes(found, scale, count=2, radius=self.separation)
        gap = modes.energy[:, 1] - modes.energy[:, 0]
        return torch.where(modes.found[:, 1], torch.exp(-gap), torch.zeros_like(gap))


class Disagreement(Score):
    """RMS distance of the best actions of independent searches from their mean, in half-ranges of the data."""

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        best = torch.stack([found.best() for found in decision.searches], 1)
        return spread(best / decision.bounds.half_range)


class Committee(Score):
    """RMS distance of the actions of several policies from their mean, in half-ranges of the data.

    Args:
        checkpoints: of the other policies, such as those of other training seeds.

    Raises:
        UserError: there is none, or one cannot be read.
    """

    def __init__(self, checkpoints: Sequence[str]) -> None:
        if isinstance(checkpoints, str) or not checkpoints:
            raise UserError("a committee needs a list of other checkpoints")
        self.checkpoints = [str(path) for path in checkpoints]
        self._members: list[Policy] = [load_policy(Path(path)) for path in self.checkpoints]

    @torch.no_grad()
    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        actions = [decision.action]
        for seed, (path, member) in enumerate(zip(self.checkpoints, self._members, strict=True)):
            for key in ("obs_horizon", "action_horizon", "action_dim"):
                mine, its = getattr(decision.policy.spec, key), getattr(member.spec, key)
                if mine != its:
                    raise UserError(f"{path} has {key} {its}, the policy {mine}")
            member.to(decision.action.device)
            actions.append(member.act_flat(decision.obs, SameForEach(seed, decision.action.device)))
        return spread(torch.stack(actions, 1) / decision.bounds.half_range)


class NearestNeighbors(Score):
    """Mean distance to the nearest demonstrated observations, in standardized features: RMS over features.

    Args:
        num_neighbors: how many.

    Raises:
        UserError: fewer than one.
    """

    fitted = ("center", "scale", "kept", "remaining")
    center: Tensor
    scale: Tensor
    kept: Tensor
    remaining: Tensor

    def __init__(self, num_neighbors: int = 5) -> None:
        if num_neighbors < 1:
            raise UserError(f"num_neighbors={num_neighbors}; it must be at least 1")
        self.num_neighbors = num_neighbors

    def fit(self, features: Float[Tensor, "M F"], remaining: Float[Tensor, " M"]) -> None:
        self.center, self.scale = features.mean(0), features.std(0).clamp(min=CONSTANT)
        some = torch.linspace(0, len(features) - 1, min(MOST_KEPT, len(features))).long()
        self.kept = (features[some] - self.center) / self.scale
        self.remaining = remaining[some]

    def nearest(self, decision: Decision) -> tuple[Float[Tensor, "B K"], Int[Tensor, "B K"]]:
        """The distances of the nearest demonstrated observations, and their indices."""
        features = features_like(decision, self.center)
        kept = self.kept.to(features)
        seen = (features - self.center.to(features)) / self.scale.to(features)
        distance = torch.cdist(seen, kept) / kept.shape[1] ** 0.5
        found = distance.topk(min(self.num_neighbors, len(kept)), largest=False)
        return found.values, found.indices

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        return self.nearest(decision)[0].mean(1)


class ExpectedDuration(NearestNeighbors):
    """How many decisions the episode will have had: those so far, and those that remained where neighbors were.

    High where a policy makes no progress, however familiar all that it sees. Needs demonstrations of the whole task.
    """

    by_number = False

    def __init__(self, num_neighbors: int = 10) -> None:
        super().__init__(num_neighbors)

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        _, index = self.nearest(decision)
        return decision.number + self.remaining.to(decision.features)[index].mean(1)


class Mahalanobis(Score):
    """Mahalanobis distance from the demonstrated observations, in features: RMS over directions (Lee et al. 2018)."""

    fitted = ("center", "whitening")
    center: Tensor
    whitening: Tensor

    def fit(self, features: Float[Tensor, "M F"], remaining: Float[Tensor, " M"]) -> None:
        exact = features.double()
        self.center = features.mean(0)
        covariance = torch.cov(exact.T).reshape(features.shape[1], -1)
        size = len(covariance)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * covariance.trace() / size * torch.eye(
            size, device=features.device
        )
        values, vectors = torch.linalg.eigh(shrunk)
        self.whitening = (vectors / values.clamp(min=CONSTANT**2).sqrt()).to(features)

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        features = features_like(decision, self.center)
        white = (features - self.center.to(features)) @ self.whitening.to(features)
        return white.square().mean(1).sqrt()


class Elapsed(Score):
    """How many decisions the episode has had: a clock, that everything else should be compared with."""

    by_number = False

    def __call__(self, decision: Decision) -> Float[Tensor, " B"]:
        return decision.number.to(decision.action.dtype)


def features_like(decision: Decision, fitted: Float[Tensor, " F"]) -> Float[Tensor, "B F"]:
    """The features of decisions, as many as those that a score was fitted on.

    Raises:
        UserError: the policy has another number of them.
    """
    count = decision.features.shape[1]
    if count != len(fitted):
        raise UserError(
            f"the detector was calibrated on {len(fitted)} features; this policy has {count}"
        )
    return decision.features


def spread(points: Float[Tensor, "B K A"]) -> Float[Tensor, " B"]:
    """Compute the RMS over K and A of the distance of points from their mean."""
    return (points - points.mean(1, keepdim=True)).square().mean((1, 2)).sqrt()
