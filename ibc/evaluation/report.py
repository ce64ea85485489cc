"""The report of a run: one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from ibc.checkpoint import Checkpoint
from ibc.data.dataset import WindowDataset
from ibc.environment import EnvConfig
from ibc.evaluation.plots import (
    energy_map,
    held_out_curves,
    learning_curve,
    moments_of_data,
    moments_of_episode,
    png,
)
from ibc.files import write_atomically
from ibc.policies import ImplicitPolicy, Policy

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.sub { color: #667085; margin-top: .2rem; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0; }
.card { flex: 1 1 10rem; border: 1px solid #e3e6ec; border-radius: .6rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.7rem; line-height: 1.2; } .card span { color: #667085; font-size: .9rem; }
img, video { max-width: 100%; border-radius: .4rem; } video { max-height: 32rem; }
pre { background: #f6f7f9; padding: 1rem; overflow-x: auto; font-size: .8rem; border-radius: .4rem; }
"""


def write_report(
    path: Path,
    run_dir: Path,
    policy: Policy,
    checkpoint: Checkpoint,
    metrics: dict[str, Any],
    video: bytes | None,
    shown: WindowDataset,
) -> None:
    """Write the page; energies are drawn in closed loop, or without an environment at examples of ``shown``."""
    config = checkpoint.config
    about = metrics["about"]
    title = f"{config['name']}: {config['policy_name']} policy"
    sections = [
        section("Learning curve", image(png(learning_curve(run_dir)), "loss over gradient steps"))
    ]
    curves = held_out_curves(run_dir)
    if curves is not None:
        text = (
            f"Measured while training, on {about['data']['held_out_episodes']} held-out episodes."
        )
        sections.append(
            section(
                "Held-out measures", f"<p>{text}</p>" + image(png(curves), "measures over steps")
            )
        )
    if isinstance(policy, ImplicitPolicy):
        seed = metrics.get("first_seed", 0)
        env = config["env"]
        landscape = energy_map(
            policy,
            moments_of_episode(policy, EnvConfig.from_mapping(env), seed)
            if "env_id" in metrics
            else moments_of_data(shown, policy.bounds.center.device),
            seed,
        )
        text = (
            "Dark is low. The star is the action that was chosen, dots are what the search ended with. "
            "Dimensions that are not shown are held at the chosen action; colors are logarithmic."
        )
        sections.append(
            section(
                "Energy landscape",
                f"<p>{text}</p>" + image(png(landscape), "energy over two action dimensions"),
            )
        )
    if video is not None:
        sections.append(section("Closed loop", film(video)))
    sections.append(section("Configuration", f"<pre>{dump(config)}</pre>"))
    sections.append(section("Origin", f"<pre>{dump(about)}</pre>"))
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f'<p class="sub">{html.escape(subtitle(metrics))}</p><div class="cards">'
        + "".join(f'<div class="card"><b>{b}</b><span>{s}</span></div>' for b, s in cards(metrics))
        + "</div>"
        + "".join(sections)
        + "</html>\n"
    )
    write_atomically(path, page.encode())


def subtitle(metrics: dict[str, Any]) -> str:
    """What the figures of the page are of."""
    if "env_id" in metrics:
        return (
            f"{metrics['env_id']}, {metrics['num_episodes']} episodes on held-out seeds from "
            f"{metrics['first_seed']}"
        )
    data = metrics["about"]["data"]
    return f"{data['num_episodes']} episodes of {data['path']}, {data['num_steps']} steps; no environment"


def cards(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures at the top of the page, each with what it is."""
    found = []
    if "env_id" in metrics:
        low, high = metrics["success_rate_ci95"]
        latency = metrics["policy_latency_ms"]
        found += [
            (f"{metrics['success_rate']:.1%}", f"success, 95 % interval {low:.1%} to {high:.1%}"),
            (f"{metrics['return_mean']:.2f}", "mean return"),
            (
                f"{latency['median']:.1f} ms",
                f"median latency for {metrics['num_envs']} environments at once; "
                f"p95 {latency['p95']:.1f} ms",
            ),
        ]
    if "held_out" in metrics:
        held_out = metrics["held_out"]
        found += [
            (
                f"{held_out['action_error_of_range']:.2%}",
                f"held-out action error, of each range; {held_out['action_error']:.3g} in units of the data",
            )
        ]
        if "rank" in held_out:
            found.append(
                (f"{held_out['rank']:.1%}", "of random actions have less energy than the shown one")
            )
    about = metrics["about"]
    return [
        *found,
        (f"{about['training_seconds']:.0f} s", f"training, on {html.escape(about['processor'])}"),
    ]


def section(heading: str, body: str) -> str:
    """A heading and what belongs to it."""
    return f"<h2>{html.escape(heading)}</h2>{body}"


def image(content: bytes, description: str) -> str:
    """A PNG inside the page."""
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def film(content: bytes) -> str:
    """An MP4 inside the page."""
    source = f"data:video/mp4;base64,{base64.b64encode(content).decode()}"
    return f'<video controls autoplay loop muted playsinline src="{source}"></video>'


def dump(content: object) -> str:
    """Plain containers as text."""
    return html.escape(json.dumps(content, indent=1))
