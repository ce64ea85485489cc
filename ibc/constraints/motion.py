"""Predictions of points, and of the motion between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Points (B, N, K, D) as a linear function of actions: ``offset + action @ matrix``.

    Attributes:
        offset: (B, K, D), or (1, 1, D or 1) for the same at all points; environment units.
        matrix: (A, D * K), dimensions outermost: one dense product is many times as fast as K small ones, and so are
            sums over a few dimensions that are far apart in memory.
        size: D.
    """

    offset: Float[Tensor, "_ _ _"]
    matrix: Float[Tensor, "A DK"]
    size: int

    @classmethod
    def from_gain(cls, offset: Tensor, gain: Float[Tensor, "K Ta"], size: int) -> Prediction:
        """Make a prediction from the gain of each action of a chunk on each point, equal for all dimensions."""
        matrix = gain.T[:, None, None, :] * torch.eye(size).to(gain)[None, :, :, None]
        return cls(offset, matrix.reshape(gain.shape[1] * size, size * len(gain)), size)

    @property
    def count(self) -> int:
        """K, the number of points."""
        return self.matrix.shape[1] // self.size

    def to(self, like: Tensor) -> Prediction:
        """Convert to the type and device of ``like``."""
        offset = self.offset.to(like).transpose(1, 2).contiguous().transpose(1, 2)
        return Prediction(offset, self.matrix.to(like), self.size)

    def points(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N K D"]:
        """Predict the points."""
        flat = torch.matmul(action, self.matrix).view(*action.shape[:2], self.size, -1)
        return flat.transpose(2, 3) + self.offset.unsqueeze(1)

    def vjp(self, cotangent: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N A"]:
        """Map a gradient with respect to points to the gradient with respect to actions."""
        return torch.matmul(cotangent.transpose(2, 3).flatten(2), self.matrix.T)


@dataclass(frozen=True)
class Segments:
    """Straight segments, one after another, and how far the body may leave each.

    Attributes:
        start, end: (B, N, S, D), environment units.
        margin: (B, N, S), the distance from its segment that the body does not exceed.
        times: (S + 1,) seconds from now at which segments begin and end.
    """

    start: Float[Tensor, "B N S D"]
    end: Float[Tensor, "B N S D"]
    margin: Float[Tensor, "B N S"]
    times: Float[Tensor, " S1"]

    def present(self) -> Segments:
        """Return where the body is now, as a segment of length zero."""
        now = self.start[:, :, :1]
        return Segments(now, now, torch.zeros_like(self.margin[:, :, :1]), self.times[:1].expand(2))


@dataclass(frozen=True)
class Deviation:
    """A part of the margin of some segments: ``factor`` times the length of predicted vectors.

    Attributes:
        index: (I,) of the segments.
        factor: (I,).
        vectors: predicts (B, N, I, D).
    """

    index: Int[Tensor, " I"]
    factor: Float[Tensor, " I"]
    vectors: Prediction


@dataclass(frozen=True)
class Motion:
    """The motion as a function of actions: straight segments, and bounds on how far the body leaves them.

    Attributes:
        nodes: predicts the ends (B, N, S, D) of the segments.
        position: (B, D), where the first one begins; None if only the ends are known.
        times: (S + 1,) seconds from now at which segments begin and end.
        first: segments up to the first predicted point.
        deviations: parts of the margins, which are added up.
    """

    nodes: Prediction
    position: Float[Tensor, "B D"] | None
    times: Float[Tensor, " S1"]
    first: int = 1
    deviations: Sequence[Deviation] = ()

    def to(self, like: Tensor) -> Motion:
        """Convert to the type and device of ``like``."""
        return replace(
            self,
            nodes=self.nodes.to(like),
            position=None if self.position is None else self.position.to(like),
            times=self.times.to(like),
            deviations=[
                Deviation(d.index.to(like.device), d.factor.to(like), d.vectors.to(like))
                for d in self.deviations
            ],
        )

    def segments(self, action: Float[Tensor, "B N A"]) -> Segments:
        """Predict the motion for each candidate."""
        end = self.nodes.points(action)
        start = end
        if self.position is not None:
            now = self.position[:, None, None].expand(-1, action.shape[1], -1, -1)
            start = torch.cat([now, end[:, :, :-1]], 2)
        margin = end.new_zeros(end.shape[:-1])
        for part in self.deviations:
            lengths = part.vectors.points(action).square().sum(-1).sqrt()
            margin = margin.index_add(2, part.index, part.factor * lengths)
        return Segments(start, end, margin, self.times)
