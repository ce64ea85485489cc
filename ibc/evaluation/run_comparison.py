"""Several runs on one page: what differs between them, curves, outcomes, paired differences and films."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibc.checkpoint import load_checkpoint
from ibc.errors import UserError
from ibc.evaluation import html
from ibc.evaluation.compare import compare_evaluations
from ibc.evaluation.plots import held_out_curves, png, training_curves
from ibc.evaluation.video import encode_png, first_frame
from ibc.files import read_json_object, write_atomically
from ibc.training.loggers import read_metrics
from ibc.training.run_folder import CHECKPOINT, EVALUATION, VIDEO

#: Keys of a configuration that say where and how a run was made, not what it is.
_PLACES = ("run_dir", "name", "policy_name", "resume", "video", "device")


@dataclass(frozen=True)
class Run:
    """What a finished run has left in its folder.

    Attributes:
        name: by which the page calls it; unique among the runs.
        config: of the command that made it.
        metrics: of its evaluation.
        rows: of its metrics while training.
        film: an MP4 file's content and a PNG of its first frame, or None.
    """

    name: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    rows: Sequence[Mapping[str, float]]
    film: tuple[bytes, bytes] | None


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        UserError: there is no such folder, or the run has not finished.
    """
    for name in (CHECKPOINT, EVALUATION):
        if not (folder / name).is_file():
            raise UserError(f"{folder} is not a finished run: it has no {name}")
    film = folder / VIDEO
    return Run(
        name=str(folder),
        config=load_checkpoint(folder / CHECKPOINT).config,
        metrics=read_json_object(folder / EVALUATION),
        rows=read_metrics(folder),
        film=(film.read_bytes(), encode_png(first_frame(film))) if film.is_file() else None,
    )


def write_comparison(path: Path, runs: Sequence[Run]) -> None:
    """Write the page; differences are of each run against the first.

    Raises:
        UserError: fewer than two runs, or two of the same folder.
    """
    names = [run.name for run in runs]
    if len(runs) < 2 or len(set(names)) < len(names):
        raise UserError(f"runs={names}; two or more different ones are compared")
    rows = {run.name: run.rows for run in runs}
    body = [html.section("Results", html.table(*results(runs)))]
    if compared := list(differences(runs)):
        head = ["measure", "run", "difference", "95 % interval", "seeds", "p (McNemar)"]
        note = f"Each run less {runs[0].name}, on the evaluation seeds that both have; intervals by a bootstrap over seeds."
        body.append(html.section("Paired differences", html.text(note), html.table(head, compared)))
    episodes = [run for run in runs if "episodes" in run.metrics]
    if episodes:
        squares = [html.text(run.name) + html.outcomes(run.metrics["episodes"]) for run in episodes]
        body.append(html.section("Episodes, by seed", *squares))
    differ = len({json.dumps(run.config.get("loss")) for run in runs}) > 1
    warning = (
        "The runs have different losses: values of one cannot be compared with values of another."
    )
    for heading, note, figures in (
        ("Training", html.text(warning) if differ else "", training_curves(rows)),
        ("Measures while training", "", held_out_curves(rows)),
    ):
        if figures:
            each = [html.figure(html.image(png(drawn), name), name) for name, drawn in figures]
            body.append(html.section(heading, note, html.grid(each)))
    films = [html.figure(html.film(*run.film), run.name) for run in runs if run.film is not None]
    if films:
        body.append(html.section("Films", html.grid(films)))
    changed = html.table(["key", *names], list(changes(runs)))
    body.append(
        html.section(
            "Origin",
            *(html.command(run.metrics["about"].get("command")) for run in runs),
            html.folded("What differs between the configurations", changed),
            *(html.folded(run.name, html.dump([run.config, run.metrics["about"]])) for run in runs),
        )
    )
    page = html.document("Comparison of runs", ", ".join(names), "".join(body))
    write_atomically(path, page.encode())


def results(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of results; columns that no run has are left out."""
    columns: dict[str, Callable[[Run], str]] = {
        "policy": lambda run: str(run.config.get("policy_name", "")),
        "success": lambda run: _rate(run.metrics),
        "return": lambda run: (
            f"{run.metrics['return_mean']:.3g}" if "return_mean" in run.metrics else ""
        ),
        "held-out action error": lambda run: _error(run.metrics),
        "ms a decision": lambda run: _latency(run.metrics),
        "training": lambda run: f"{run.metrics['about']['training_seconds']:.0f} s",
    }
    cells = {name: [show(run) for run in runs] for name, show in columns.items()}
    kept = {name: column for name, column in cells.items() if any(column)}
    return ["run", *kept], [
        [run.name, *row] for run, *row in zip(runs, *kept.values(), strict=True)
    ]


def differences(runs: Sequence[Run]) -> Iterator[list[str]]:
    """Rows of success and return of each run less the first, where both were evaluated on the same task and seeds."""
    first, *others = runs
    for measure in ("success", "return"):
        for run in others:
            if not _seeds(first) & _seeds(run) or _task(first) != _task(run):
                continue
            found = compare_evaluations([first.metrics], [run.metrics], measure)
            scale, unit = (100, " points") if measure == "success" else (1, "")
            low, high = (f"{scale * bound:+.3g}" for bound in found.interval)
            p = "" if found.mcnemar_p is None else f"{found.mcnemar_p:.2g}"
            difference = f"{scale * found.difference:+.3g}{unit}"
            yield [measure, run.name, difference, f"{low} to {high}{unit}", str(found.num_seeds), p]


def changes(runs: Sequence[Run]) -> Iterator[list[str]]:
    """Rows of the keys whose values differ between configurations, and the values."""
    flat = [dict(_flattened(run.config)) for run in runs]
    for key in sorted(set().union(*flat)):
        values = [json.dumps(found.get(key)) for found in flat]
        if len(set(values)) > 1 and key.partition(".")[0] not in _PLACES:
            yield [key, *values]


def _flattened(config: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping) and config:
        for key, value in config.items():
            yield from _flattened(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config


def _task(run: Run) -> Any:
    return run.metrics.get("env_id")


def _seeds(run: Run) -> set[int]:
    return {row["seed"] for row in run.metrics.get("episodes", ())}


def _rate(metrics: Mapping[str, Any]) -> str:
    if "success_rate" not in metrics:
        return ""
    low, high = metrics["success_rate_ci95"]
    return f"{metrics['success_rate']:.1%} ({low:.1%} to {high:.1%}, {metrics['num_episodes']} episodes)"


def _error(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['held_out']['action_error_of_range']:.2%}" if "held_out" in metrics else ""


def _latency(metrics: Mapping[str, Any]) -> str:
    if "policy_latency_ms" not in metrics:
        return ""
    return (
        f"{metrics['policy_latency_ms']['median']:.1f}, {metrics['num_envs']} environments at once"
    )
