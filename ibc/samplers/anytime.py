"""A search with a deadline: the best it has found when time is up."""

from __future__ import annotations

import time

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


class Anytime(Sampler):
    """``sampler`` for some time, whatever its number of steps.

    When time is up it ends with the candidates it has reached, scored once: at least one evaluation is made, and one
    more after the deadline. A search through noise levels ends with what it takes for the action without noise.

    Args:
        sampler: to be ended.
        seconds: of the search, from its first evaluation to its last.

    Raises:
        UserError: the time is not positive.
    """

    def __init__(self, sampler: Sampler, seconds: float) -> None:
        if not seconds > 0:
            raise UserError(f"seconds={seconds}; a search takes more than 0")
        self.sampler, self.seconds = sampler, seconds
        self.num_candidates = sampler.num_candidates

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        if init.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError("a replayed recording would not look at the clock")
        clock = _Clock(time.monotonic() + self.seconds)
        try:
            return self.sampler(TimedSpace(space, clock), init, rng)
        except _OutOfTime:
            assert clock.reached is not None
            return score(space, space.clamp(clock.reached))


class _OutOfTime(Exception):
    """The deadline has passed, and there is something to return."""


class _Clock:
    """A deadline, and the candidates that were reached last."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.reached: Tensor | None = None

    def check(self) -> None:
        if self.reached is not None and time.monotonic() > self.deadline:
            raise _OutOfTime


class TimedSpace(UnitSpace):
    """A space whose evaluations look at the clock and note where they are made.

    Args:
        space: that is evaluated.
        clock: shared by all spaces of a search.
        is_noisy: whether the energy is one of a noise level, whose gradient is the distance to the denoised action.
    """

    def __init__(self, space: UnitSpace, clock: _Clock, *, is_noisy: bool = False) -> None:
        super().__init__(space.bound, space.bounds, space.temperature)
        self.space, self.clock, self.is_noisy = space, clock, is_noisy
        self.low, self.high, self.plan = space.low, space.high, space.plan

    def energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        self.clock.check()
        energy = self.space.energy(unit)
        self.clock.reached = unit
        return energy

    def gradient(
        self, unit: Float[Tensor, "B N A"], *, create_graph: bool = False
    ) -> Float[Tensor, "B N A"]:
        self.clock.check()
        gradient = self.space.gradient(unit, create_graph=create_graph)
        self.clock.reached = unit - gradient if self.is_noisy else unit
        return gradient

    def prefix(self, unit: Float[Tensor, "B N A"], j: int) -> Float[Tensor, "B N"]:
        self.clock.check()
        energy = self.space.prefix(unit, j)
        self.clock.reached = unit
        return energy

    def clamp(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        return self.space.clamp(unit)

    def uniform(self, batch: int, count: int, rng: RandomSource) -> Float[Tensor, "B N A"]:
        return self.space.uniform(batch, count, rng)

    def low_precision(self) -> UnitSpace:
        cheap = self.space.low_precision()
        if cheap is self.space:
            return self
        return TimedSpace(cheap, self.clock, is_noisy=self.is_noisy)

    def tempered(self, temperature: float) -> UnitSpace:
        return TimedSpace(self.space.tempered(temperature), self.clock, is_noisy=self.is_noisy)

    def at(self, sigma: Float[Tensor, "B 1"]) -> UnitSpace:
        return TimedSpace(self.space.at(sigma), self.clock, is_noisy=True)

    def at_each(self, sigmas: Float[Tensor, "L B 1"]) -> list[UnitSpace]:
        spaces = self.space.at_each(sigmas)
        return [TimedSpace(space, self.clock, is_noisy=True) for space in spaces]
