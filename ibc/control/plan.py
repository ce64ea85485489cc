"""Actions that have been decided, by the step in which they are to be executed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: How the actions of overlapping chunks become one; see :class:`ibc.control.AsynchronousController`.
WAYS = ("committed", "naive", "ensembled", "blocking")
#: Weight of each newer chunk relative to the one before it, in an ensemble (Zhao et al. 2023, exp(-0.01)).
NEWER = 0.99

Chunk = NDArray[np.float32]


@dataclass
class Plan:
    """The chunks of one episode.

    Attributes:
        way: one of ``WAYS``.
        hold: the action (D,) where nothing is planned; the last one is repeated if None.
        chunks: (first step, actions (Ta, D)), the oldest first.
        last: the action that was executed last.
    """

    way: str
    hold: Chunk | None = None
    chunks: list[tuple[int, Chunk]] = field(default_factory=list)
    last: Chunk | None = None

    def add(self, chunk: Chunk, seen_at: int, now: int) -> None:
        """Take over a chunk that was decided from the observation of step ``seen_at``; ``now`` is the next step.

        A robot that waits for its chunk begins with the first action; otherwise the first ones are over by now.
        """
        start = now if self.way == "blocking" else seen_at
        kept = (
            [(s, c) for s, c in self.chunks if s + len(c) > now] if self.way == "ensembled" else []
        )
        self.chunks = [*kept, (start, chunk)]

    def planned(self, step: int) -> Chunk | None:
        """The action (D,) of a step; None where none is planned."""
        found: list[Chunk] = [
            chunk[step - start] for start, chunk in self.chunks if 0 <= step - start < len(chunk)
        ]
        if not found:
            return None
        if self.way != "ensembled":
            return found[-1]
        weight = NEWER ** np.arange(len(found))
        mean: Chunk = (weight @ np.stack(found) / weight.sum()).astype(np.float32)
        return mean

    def ahead(self, now: int, count: int) -> Chunk:
        """The actions (count, D) of the steps from ``now`` on, if nothing is added: planned ones, then held ones."""
        actions, last = [], self.last
        for step in range(now, now + count):
            action = self.planned(step)
            if action is None:
                action = last if self.hold is None else self.hold
            assert action is not None, "nothing has been planned yet"
            last = action
            actions.append(action)
        return np.stack(actions)

    def execute(self, now: int) -> Chunk:
        """The action (D,) of this step."""
        (self.last,) = self.ahead(now, 1)
        return self.last

    def left(self, now: int) -> int:
        """Steps from ``now`` on for which actions are planned."""
        return max((start + len(chunk) - now for start, chunk in self.chunks), default=0)
