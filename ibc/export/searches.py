"""Searches as plain numbers, for :mod:`ibc_client.searches`, which repeats them in numpy."""

from __future__ import annotations

from typing import Any

from ibc.energies import NetworkEnergy
from ibc.errors import UserError
from ibc.samplers import (
    DFO,
    AutoregressiveDFO,
    GradientDescent,
    IBCLangevin,
    ProbabilityFlow,
    Sampler,
)
from ibc.samplers.autoregressive_dfo import FINALISTS
from ibc.samplers.probability_flow import karras_levels


def describe_search(sampler: Sampler, energy: NetworkEnergy) -> dict[str, Any]:
    """The numbers of a search: its name, candidates, step sizes or noise of each step.

    Raises:
        UserError: it is of a kind that is not repeated in numpy.
    """
    known = {
        GradientDescent: _descent,
        IBCLangevin: _descent,
        DFO: _dfo,
        AutoregressiveDFO: _autoregressive,
    }
    common = {"num_candidates": sampler.num_candidates, "num_scored": sampler.num_candidates}
    if type(sampler) in known:
        return {**common, **known[type(sampler)](sampler)}
    if type(sampler) is ProbabilityFlow:
        sigmas = tuple(getattr(energy, "sigmas", ()))
        levels = karras_levels(sigmas[0], sigmas[-1], sampler.num_steps)
        own = {"name": "probability_flow", "levels": levels, "init_scale": sampler.init_scale}
        return {**common, **own}
    allowed = ", ".join(kind.__name__ for kind in (*known, ProbabilityFlow))
    raise UserError(
        f"a search by {type(sampler).__name__} cannot be exported; allowed: {allowed} (sampler=...)"
    )


def _descent(sampler: Any) -> dict[str, Any]:
    return {
        "name": "gradient_descent",
        "steps": sampler.schedule(),
        "delta_clip": sampler.delta_clip,
        "settle": sampler.settle,
        "noise_std": getattr(sampler, "noise_std", None),
    }


def _dfo(sampler: Any) -> dict[str, Any]:
    stds = [sampler.noise_std * sampler.shrink**i for i in range(sampler.num_iterations - 1)]
    return {"name": "dfo", "stds": stds, "temperature": sampler.temperature}


def _autoregressive(sampler: Any) -> dict[str, Any]:
    stds = [sampler.noise_std * sampler.shrink**i for i in range(sampler.num_iterations - 1)]
    return {
        "name": "autoregressive_dfo",
        "stds": [0.0, *stds],
        "temperature": sampler.temperature,
        "num_scored": min(FINALISTS, sampler.num_candidates),
    }
