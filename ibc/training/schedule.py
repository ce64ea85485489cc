"""Learning rates over a run."""

from __future__ import annotations

import math

from ibc.errors import UserError

#: What ``trainer.schedule`` may be.
SCHEDULES = ("cosine", "constant")


class Schedule:
    """The factor on the learning rate at each step: a linear rise, then half a cosine to zero, or no change.

    Args:
        kind: ``cosine`` or ``constant``.
        warmup_steps: of the rise.
        num_steps: of the run.

    Raises:
        UserError: there is no such schedule, or no step.
    """

    def __init__(self, kind: str, warmup_steps: int, num_steps: int) -> None:
        if kind not in SCHEDULES:
            raise UserError(f"trainer.schedule={kind}; allowed: {', '.join(SCHEDULES)}")
        if num_steps < 1:
            raise UserError(f"trainer.num_steps={num_steps}; it must be at least 1")
        self.kind, self.warmup_steps, self.num_steps = kind, warmup_steps, num_steps

    def __call__(self, step: int) -> float:
        """Return the factor at a step."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.kind == "constant":
            return 1.0
        progress = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
