"""Compare two policies, from checkpoints or from files of their evaluations."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import load_checkpoint
from ibc.cli.config import Config, at_least, seeds_of
from ibc.cli.evaluate import measure
from ibc.cli.paths import check_outputs, paths_of
from ibc.device import configure_device, provenance
from ibc.errors import UserError
from ibc.evaluation.compare import (
    FEWEST_PAIRS,
    Comparison,
    check_same_task,
    compare_evaluations,
    outcomes,
    sequence_interval,
)
from ibc.evaluation.evaluate import write_output
from ibc.files import read_json
from ibc.policies.loading import build_policy

#: Evaluates one training seed on some evaluation seeds.
Source = Callable[[Sequence[int]], Mapping[str, Any]]


def compare(config: Config) -> None:
    """Print the comparison and write it to ``output``, if given.

    Exits with 1 where the second policy is worse by more than ``margin``.

    Raises:
        UserError: a file is neither a checkpoint nor an evaluation, or the evaluations do not fit each other.
    """
    seeds = seeds_of(config)
    at_least(config, num_episodes=2, margin=0)
    check_outputs(config, "output")
    paths = [paths_of(config, side) for side in ("first", "second")]
    if config["early_stop"] and not all(_is_checkpoint(p) for side in paths for p in side):
        raise UserError("early_stop=true evaluates checkpoints; files of evaluations are complete")
    if config["early_stop"] and max(map(len, paths)) > 1:
        raise UserError(
            "early_stop=true compares two checkpoints; several training seeds need all episodes"
        )
    device = configure_device(config["device"], config["precision"])
    first, second = ([_source(path, config, device) for path in side] for side in paths)
    if config["early_stop"]:
        comparison = _compare_in_blocks(first[0], second[0], seeds, config)
    else:
        evaluated = [[source(seeds) for source in side] for side in (first, second)]
        comparison = compare_evaluations(evaluated[0], evaluated[1], config["measure"])
    verdict = comparison.verdict(config["margin"])
    print(format_comparison(comparison, verdict, *(_name(side) for side in paths)))
    content = {
        **comparison.as_dict(),
        "verdict": verdict,
        "margin": config["margin"],
        "paths": [[str(path) for path in side] for side in paths],
        "about": provenance(),
    }
    write_output(config["output"], content)
    if verdict == "worse":
        sys.exit(1)


def format_comparison(comparison: Comparison, verdict: str, first: str, second: str) -> str:
    """The few lines that a person wants."""
    is_rate = comparison.measure == "success"

    def show(value: float, sign: str = "", unit: str = "%") -> str:
        return f"{100 * value:{sign}.1f} {unit}" if is_rate else f"{value:{sign}.4g}"

    low, high = comparison.interval
    interval = (
        f"95 % interval {show(low, '+', 'points')} to {show(high, '+', 'points')}"
        if math.isfinite(low)
        else f"no interval: fewer than {FEWEST_PAIRS} pairs, or all differences are equal"
    )
    lines = [
        f"{comparison.measure} on {comparison.num_seeds} seeds",
        f"  first   {show(comparison.first)}  {first}",
        f"  second  {show(comparison.second)}  {second}",
        f"difference: {show(comparison.difference, '+', 'points')} ({interval})",
    ]
    lines += [f"the environments differ: {line}" for line in comparison.task_differences]
    if comparison.mcnemar_p is not None:
        lines.append(
            f"only the first succeeds in {comparison.only_first}, only the second in {comparison.only_second} episodes "
            f"(exact McNemar p = {comparison.mcnemar_p:.2g})"
        )
    answer = {"better": "the second is better", "worse": "the second is worse"}
    has_interval = math.isfinite(low)
    undecided = f"undecided: {'the interval contains zero' if has_interval else 'no interval'}"
    return "\n".join([*lines, answer.get(verdict, undecided)])


def _compare_in_blocks(
    first: Source, second: Source, seeds: Sequence[int], config: Config
) -> Comparison:
    """Evaluate blocks of ``num_envs`` seeds until the interval, which holds at all times, excludes zero."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    size = config["num_envs"]
    for start in range(0, len(seeds), size):
        last = [source(seeds[start : start + size]) for source in (first, second)]
        for rows, metrics in zip(sides, last, strict=True):
            rows.extend(metrics["episodes"])
        check_same_task(last)
        evaluated = [
            {**of_side, "episodes": rows} for of_side, rows in zip(last, sides, strict=True)
        ]
        tables = [outcomes(metrics, config["measure"]) for metrics in evaluated]
        differences = [value - tables[0][seed] for seed, value in tables[1].items()]
        low, high = sequence_interval(differences, len(seeds))
        if low > 0 or high < -config["margin"]:
            break
    comparison = compare_evaluations([evaluated[0]], [evaluated[1]], config["measure"])
    return replace(comparison, interval=(low, high))


def _source(path: Path, config: Config, device: torch.device) -> Source:
    if not _is_checkpoint(path):
        metrics = read_json(path)
        if not isinstance(metrics, dict):
            raise UserError(f"{path} is not an evaluation")
        return lambda _: metrics
    checkpoint = load_checkpoint(path)
    if checkpoint.config.get("env", {}).get("id") is None:
        raise UserError(
            f"{path} was saved without its environment; evaluate it on the same seeds "
            "(ibc evaluate checkpoint=... env.id=... output=...), and compare the files"
        )
    checkpoint.environment(config["trust"])
    policy = build_policy(checkpoint, device, trust=config["trust"])
    steps = checkpoint.config.get("num_execute_steps")

    def evaluate(seeds: Sequence[int]) -> Mapping[str, Any]:
        num_envs = config["num_envs"]
        return measure(policy, checkpoint, seeds=seeds, num_envs=num_envs, num_execute_steps=steps)

    return evaluate


def _is_checkpoint(path: Path) -> bool:
    return path.suffix != ".json"


def _name(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
