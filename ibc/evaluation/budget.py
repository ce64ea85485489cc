"""Measure what a search makes of more candidates and more iterations, and choose one for a given time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ibc.component import describe
from ibc.construct import construct
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation import style
from ibc.evaluation.evaluate import evaluate
from ibc.evaluation.rollout import rollout
from ibc.policies import ImplicitPolicy
from ibc.random import BatchRandom
from ibc.samplers import Sampler
from ibc.spec import Obs
from ibc.threads import limit_threads

#: Names that samplers have for the number of their iterations.
ITERATIONS = ("num_iterations", "num_steps", "max_steps", "steps_per_level")
#: Factors by which a search's own numbers are multiplied.
CANDIDATE_FACTORS, ITERATION_FACTORS = (0.25, 1.0, 4.0), (0.25, 0.5, 1.0, 2.0)
#: Decisions that are timed, and compared with those of the longest search.
NUM_DECISIONS = 30
#: Searches that take more than this many times the time asked for are not evaluated.
TOO_SLOW = 2.0


@dataclass(frozen=True)
class BudgetRow:
    """One search.

    Attributes:
        overrides: keys and values that make it, as on the command line.
        num_candidates, num_iterations: of the sampler, or of the first one of a chain.
        latency_ms: median time of one decision for one environment, with this process's threads.
        action_error: root mean square distance in the unit cube of its actions from those of the longest search, which
            starts from the same random numbers where it has as many candidates.
        success_rate: of the episodes, or None where the search was too slow to be evaluated.
        report: mean of what the environment reports of each episode.
    """

    overrides: Mapping[str, int]
    num_candidates: int
    num_iterations: int
    latency_ms: float
    action_error: float
    success_rate: float | None = None
    report: Mapping[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready to be written as JSON."""
        return asdict(self)


def budget(
    policy: ImplicitPolicy,
    env: EnvConfig,
    *,
    milliseconds: float,
    seeds: Sequence[int],
    num_envs: int,
    num_execute_steps: int | None = None,
) -> list[BudgetRow]:
    """Measure searches with other numbers of candidates and iterations than the policy's own.

    Args:
        policy: keeps its search.
        env: to evaluate in.
        milliseconds: time of a decision that is asked for.
        seeds: of the episodes; not those by which the policy will be judged.
        num_envs: environments at once.
        num_execute_steps: see :class:`ibc.control.Controller`.

    Raises:
        UserError: the search has neither a number of candidates nor of iterations.
    """
    windows = observed_windows(policy, env, seeds[0], num_execute_steps)
    own = describe(policy.sampler)
    variants = [scaled(own, *factors) for factors in product(CANDIDATE_FACTORS, ITERATION_FACTORS)]
    unique = {tuple(sorted(found.items())): found for found in variants}
    samplers = [(found, _with_numbers(own, found)) for found in unique.values()]
    samplers.sort(key=lambda pair: numbers(describe(pair[1])))
    reference = _decisions(policy, samplers[-1][1], windows)[1]
    rows = []
    for overrides, sampler in samplers:
        latency, actions = _decisions(policy, sampler, windows)
        error = float((actions - reference).square().mean().sqrt())
        outcome: dict[str, Any] = {}
        if latency <= TOO_SLOW * milliseconds:
            with exchanged(policy, sampler):
                result = evaluate(
                    policy, env, seeds=seeds, num_envs=num_envs, num_execute_steps=num_execute_steps
                )
            report = {k: v["mean"] for k, v in result.metrics.get("report", {}).items()}
            outcome = {"success_rate": result.success_rate, "report": report}
        count, iterations = numbers(describe(sampler))
        rows.append(BudgetRow(overrides, count, iterations, latency, error, **outcome))
    return rows


def choose(rows: Sequence[BudgetRow], milliseconds: float) -> BudgetRow:
    """Return the search of highest success within the time; of equal ones, the one of least error, then of least time.

    Raises:
        UserError: none is fast enough.
    """
    fast = [row for row in rows if row.latency_ms <= milliseconds and row.success_rate is not None]
    if not fast:
        least = min(row.latency_ms for row in rows)
        raise UserError(f"ms={milliseconds:g}; the fastest search takes {least:.1f} ms")
    return min(fast, key=lambda row: (-(row.success_rate or 0.0), row.action_error, row.latency_ms))


def scaled(description: Mapping[str, Any], candidates: float, iterations: float) -> dict[str, int]:
    """Return the numbers of a described sampler times factors, by dotted key; each is at least 1.

    Raises:
        UserError: it has none.
    """
    found = {}
    for key, value in dotted(description):
        name = key.rpartition(".")[2]
        if isinstance(value, int) and not isinstance(value, bool):
            if name == "num_candidates":
                found[key] = max(1, round(candidates * value))
            elif name in ITERATIONS:
                found[key] = max(1, round(iterations * value))
    if not found:
        raise UserError("this search has no number of candidates or iterations to choose")
    return found


def numbers(description: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of candidates and iterations of a described sampler; of a chain, of its first part."""
    values = list(dotted(description))
    count = next((v for k, v in values if k.endswith("num_candidates")), 1)
    iterations = next((v for k, v in values if k.rpartition(".")[2] in ITERATIONS), 1)
    return int(count), int(iterations)


def dotted(node: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings and lists with their dotted keys."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from dotted(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from dotted(value, f"{prefix}.{i}")
    else:
        yield prefix, node


def observed_windows(
    policy: ImplicitPolicy, env: EnvConfig, seed: int, num_execute_steps: int | None
) -> list[Obs]:
    """Return observation windows (1, To, ...) of decisions in closed loop, evenly spread over an episode."""
    windows: list[Obs] = []
    act = policy.act

    def record(obs: Obs, rng: Any) -> torch.Tensor:
        windows.append(obs)
        return act(obs, rng)

    policy.act = record  # type: ignore[method-assign]
    environment = Environment(env)
    try:
        controller = Controller(policy, num_execute_steps=num_execute_steps)
        list(rollout([environment], controller, [seed]))
    finally:
        del policy.act
        environment.close()
    picked = np.linspace(0, len(windows) - 1, min(NUM_DECISIONS, len(windows))).round().astype(int)
    return [windows[i] for i in picked]


def figure_of(rows: Sequence[BudgetRow], chosen: BudgetRow, milliseconds: float) -> Figure:
    """Draw success and action error over the time of a decision, one line for each number of candidates."""
    figure, ((left, right),) = style.panels(1, 2, (4.5, 3.6), sharex=True)
    for count in sorted({row.num_candidates for row in rows}):
        mine = sorted((r for r in rows if r.num_candidates == count), key=lambda r: r.latency_ms)
        label = f"{count} candidate{'s' if count > 1 else ''}"
        tried = [row for row in mine if row.success_rate is not None]
        rates = [100 * (row.success_rate or 0.0) for row in tried]
        left.plot([row.latency_ms for row in tried], rates, "o-", label=label)
        right.plot([r.latency_ms for r in mine], [r.action_error for r in mine], "o-", label=label)
    left.plot(
        chosen.latency_ms, 100 * (chosen.success_rate or 0), "k*", markersize=13, label="chosen"
    )
    left.set_ylabel("success in %")
    left.set_ylim(-3, 103)
    right.set_ylabel("distance from the longest search\n(root mean square, unit cube)")
    for axes in (left, right):
        axes.axvline(milliseconds, color=style.GRAY, linestyle=":", label=f"{milliseconds:g} ms")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("milliseconds of one decision, one environment")
    style.legend(left)
    return figure


@contextmanager
def exchanged(policy: ImplicitPolicy, sampler: Sampler) -> Iterator[None]:
    """Give the policy another search for the time of a ``with`` block."""
    own, policy.sampler = policy.sampler, sampler
    try:
        yield
    finally:
        policy.sampler = own


def _with_numbers(description: Any, values: Mapping[str, int], prefix: str = "") -> Any:
    if isinstance(description, Mapping):
        inner = {
            key: _with_numbers(value, values, f"{prefix}.{key}" if prefix else str(key))
            for key, value in description.items()
        }
        return inner if prefix else construct(inner, "sampler")
    if isinstance(description, list | tuple):
        return [_with_numbers(v, values, f"{prefix}.{i}") for i, v in enumerate(description)]
    return values.get(prefix, description)


def _decisions(
    policy: ImplicitPolicy, sampler: Sampler, windows: Sequence[Obs]
) -> tuple[float, torch.Tensor]:
    """Return the median milliseconds of a decision, and the actions (decisions, A) in the unit cube."""
    device = policy.bounds.center.device
    seconds, actions = [], []
    with exchanged(policy, sampler):
        for i, obs in enumerate([windows[0], *windows]):  # the first one warms up
            rng = BatchRandom(torch.Generator(device).manual_seed(max(0, i - 1)))
            start = time.perf_counter()
            with limit_threads(1):  # as a controller does
                action = policy.act_flat(obs, rng).cpu()
            seconds.append(time.perf_counter() - start)
            actions.append(policy.bounds.to_unit(action.to(device)).cpu())
    return 1e3 * float(np.median(seconds[1:])), torch.cat(actions[1:])
