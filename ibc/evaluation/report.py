"""The report of a run: one HTML page that needs no other file and no network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ibc.checkpoint import Checkpoint
from ibc.data.dataset import WindowDataset
from ibc.env_config import EnvConfig
from ibc.evaluation import html
from ibc.evaluation.energy_map import Moment, energy_maps, moments_of_data, moments_of_episode
from ibc.evaluation.plots import held_out_curves, png, training_curves
from ibc.evaluation.record import Film
from ibc.evaluation.video import encode_png
from ibc.files import write_atomically
from ibc.policies import ImplicitPolicy, Policy
from ibc.random import BatchRandom
from ibc.threads import limit_threads
from ibc.training.loggers import read_metrics

#: Decisions for one observation that are timed.
TIMED = 20


def write_report(
    path: Path,
    run_dir: Path,
    policy: Policy,
    checkpoint: Checkpoint,
    metrics: dict[str, Any],
    films: Sequence[Film],
    shown: WindowDataset,
) -> None:
    """Write the page.

    Args:
        path: of the page.
        run_dir: whose ``metrics.jsonl`` has the curves.
        policy: of the run.
        checkpoint: of the run.
        metrics: of the evaluation.
        films: of single episodes, if any.
        shown: examples, at which decisions are timed, and at which energies are drawn where there is no environment.
    """
    config, about = checkpoint.config, metrics["about"]
    rows = {config["policy_name"]: read_metrics(run_dir)}
    body = [html.cards([*headline(metrics), single_latency(policy, shown), training(about)])]
    if "env_id" in metrics:
        body.append(closed_loop(metrics, films))
    body.append(html.section("Training", curves(training_curves(rows))))
    if held_out := held_out_curves(rows):
        count = about["data"]["held_out_episodes"]
        where = (
            f"Measured while training, on {count} held-out episodes."
            if count
            else "Measured while training."
        )
        body.append(html.section("Measures while training", html.text(where), curves(held_out)))
    if isinstance(policy, ImplicitPolicy):
        body.append(landscape(policy, config, metrics, shown, has_pictures=bool(films)))
    body.append(
        html.section(
            "Origin",
            html.command(about.get("command")),
            html.folded("Configuration", html.dump(config)),
            html.folded("Versions, machine and data", html.dump(about)),
        )
    )
    title = f"{config['name']}: {config['policy_name']} policy"
    write_atomically(path, html.document(title, subtitle(metrics), "".join(body)).encode())


def subtitle(metrics: dict[str, Any]) -> str:
    """What the figures of the page are of."""
    if "env_id" in metrics:
        return (
            f"{metrics['env_id']}, {metrics['num_episodes']} episodes on held-out seeds from "
            f"{metrics['first_seed']}"
        )
    data = metrics["about"]["data"]
    return f"{data['num_episodes']} episodes of {data['path']}, {data['num_steps']} steps; no environment"


def headline(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What came out, in closed loop and on held-out episodes: numbers, each with what it is."""
    found = []
    if "env_id" in metrics:
        low, high = metrics["success_rate_ci95"]
        latency = metrics["policy_latency_ms"]
        found += [
            (f"{metrics['success_rate']:.1%}", f"success, 95 % interval {low:.1%} to {high:.1%}"),
            (f"{metrics['return_mean']:.2f}", "mean return"),
            (
                f"{latency['median']:.1f} ms",
                f"median time of a decision for {metrics['num_envs']} environments at once; "
                f"p95 {latency['p95']:.1f} ms",
            ),
        ]
    if "held_out" in metrics:
        held_out = metrics["held_out"]
        error = f"held-out action error, of each range; {held_out['action_error']:.3g} in units of the data"
        found.append((f"{held_out['action_error_of_range']:.2%}", error))
        if "rank" in held_out:
            found.append(
                (f"{held_out['rank']:.1%}", "of random actions have less energy than the shown one")
            )
    return found


def training(about: dict[str, Any]) -> tuple[str, str]:
    """The time of training, and where."""
    return f"{about['training_seconds']:.0f} s", f"training, on {about['processor']}"


@torch.no_grad()
def single_latency(policy: Policy, shown: WindowDataset) -> tuple[str, str]:
    """The time of a decision for one observation at a time, on one thread of the processor."""
    device = next(policy.parameters()).device
    obs = {name: o.to(device) for name, o in shown.batch(torch.tensor([0])).obs.items()}
    rng = BatchRandom(torch.Generator(device).manual_seed(0))
    seconds = []
    with limit_threads(1):
        for _ in range(TIMED + 2):  # the first ones prepare
            start = time.perf_counter()
            policy.act(obs, rng).cpu()
            seconds.append(time.perf_counter() - start)
    median, p95 = 1e3 * np.quantile(seconds[2:], [0.5, 0.95])
    return f"{median:.1f} ms", f"median time of a decision for one observation; p95 {p95:.1f} ms"


def closed_loop(metrics: dict[str, Any], films: Sequence[Film]) -> str:
    """Outcomes of all episodes, and films of some that failed and some that succeeded."""
    rows = metrics["episodes"]
    failed = [str(row["seed"]) for row in rows if not row["success"]]
    note = "One square an episode, in the order of seeds; x is a failure."
    if failed:
        more = f" and {len(failed) - 12} more" if len(failed) > 12 else ""
        note += f" Seeds that failed: {', '.join(failed[:12])}{more}."
    shots = [
        html.figure(
            html.film(f.encode(), encode_png(f.frames[-1])),
            f"seed {f.seed}: {'success' if f.success else 'failure'}",
        )
        for f in films
    ]
    return html.section(
        "Closed loop",
        html.text(note),
        html.outcomes(rows),
        "<br>" if shots else "",
        html.grid(shots),
    )


def curves(figures: Sequence[tuple[str, Any]]) -> str:
    """Curves beside one another."""
    return html.grid([html.figure(html.image(png(drawn), name), name) for name, drawn in figures])


def landscape(
    policy: ImplicitPolicy,
    config: Mapping[str, Any],
    metrics: dict[str, Any],
    shown: WindowDataset,
    *,
    has_pictures: bool,
) -> str:
    """Energies at a few moments, each beneath the scene it belongs to where there is a picture of it."""
    seed = metrics.get("first_seed", 0)
    if "env_id" in metrics:
        env = EnvConfig.from_mapping(config["env"])
        moments = moments_of_episode(policy, env, seed, render=has_pictures)
    else:
        moments = moments_of_data(shown, policy.bounds.center.device)
    note = "The star is the action that was chosen, dots are what the search ended with."
    if policy.spec.action_size > 1:
        note = f"Dark is low, and colors are logarithmic. {note}"
    if policy.spec.action_size > 2:
        note += " Numbers of the action that are not on an axis are held at the chosen action."
    pairs = zip(moments, energy_maps(policy, moments, seed), strict=True)
    figures = [
        html.figure(_scene(moment) + html.image(png(drawn), "energy of actions"), moment.title)
        for moment, drawn in pairs
    ]
    return html.section("Energy landscape", html.text(note), html.grid(figures))


def _scene(moment: Moment) -> str:
    return "" if moment.scene is None else html.image(encode_png(moment.scene), "the scene")
