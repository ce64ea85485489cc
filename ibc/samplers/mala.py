"""The Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

import math

from ibc.samplers.hmc import HMC


class MALA(HMC):
    """The Metropolis-adjusted Langevin algorithm: samples from ``exp(-E)`` (Roberts and Tweedie 1996).

    A step ``a - s g / 2 + sqrt(s) xi`` is accepted with the Metropolis-Hastings probability. That is Hamiltonian Monte
    Carlo with one leapfrog step of length ``sqrt(s)`` (Neal 2011, section 5.2), and so it is computed.

    Args:
        num_candidates: independent chains.
        num_iterations: steps of each, the first half for tuning.
        step: s, at first, in the unit cube squared.
    """

    def __init__(self, *, num_candidates: int, num_iterations: int, step: float = 0.01) -> None:
        super().__init__(
            num_candidates=num_candidates,
            num_iterations=num_iterations,
            num_leapfrog=1,
            step_size=math.sqrt(step),
            target_accept=0.574,
        )
