"""The study command: one experiment, several policies and training seeds, one result file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ibc import machine
from ibc.app.evaluate import write_json
from ibc.app.runs import CHECKPOINT, EVALUATION, run_folder
from ibc.app.train import train_in
from ibc.checkpoint import load_checkpoint, save_checkpoint
from ibc.config import Config, compose
from ibc.errors import UserError
from ibc.metrics import mean_interval, wilson_interval

#: A policy in the repository may take this many bytes.
MAX_PRETRAINED = 3_000_000


def study(config: Config) -> None:
    """The command. Interrupted, it goes on where it stopped when it is called again."""
    rows = []
    for policy in config["policies"]:
        runs = [one_run(config, policy, seed) for seed in config["seeds"]]
        rows.append({"policy": policy, **pool([figures for _, figures in runs])})
        if policy == "implicit" and config["pretrained"] is not None:
            publish(runs[0][0] / CHECKPOINT, Path(config["pretrained"]), runs[0][1])
        result = {
            "experiment": config["experiment"],
            "command": command(config),
            "seeds": config["seeds"],
            "rows": rows,
            "about": machine.provenance(),
        }
        write_json(Path(config["output"]), result)
    for row in rows:
        print(
            f"{row['policy']}: success {row['success_rate']:.1%}, return {row['return_mean']:.1f}"
        )
    print(f"file: {config['output']}")


def one_run(config: Config, policy: str, seed: int) -> tuple[Path, dict[str, Any]]:
    """Folder and evaluation of one training run; trained only if that has not been done."""
    overrides = [
        f"experiment={config['experiment']}",
        f"policy={policy}",
        f"seed={seed}",
        "resume=true",
        "video=false",
        *config["overrides"],
    ]
    run_config = compose("train", overrides)
    run_dir = Path(run_config["run_dir"])
    with run_folder(run_dir, resume=True):
        if (run_dir / EVALUATION).exists():
            return run_dir, json.loads((run_dir / EVALUATION).read_text())
        return run_dir, train_in(run_dir, run_config)


def pool(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all training seeds: episodes pooled for success, seeds as units for the return."""
    successes = [row["success"] for e in evaluations for row in e["episodes"]]
    returns = [e["return_mean"] for e in evaluations]
    return {
        "env_id": evaluations[0]["env_id"],
        "num_episodes": len(successes),
        "first_seed": evaluations[0]["first_seed"],
        "success_rate": float(np.mean(successes)),
        "success_rate_ci95": list(wilson_interval(sum(successes), len(successes))),
        "success_rate_by_seed": [e["success_rate"] for e in evaluations],
        "return_mean": float(np.mean(returns)),
        "return_mean_by_seed": returns,
        "return_mean_ci95": list(
            mean_interval([row["return"] for e in evaluations for row in e["episodes"]])
        ),
        "training_seconds": [e["about"]["training_seconds"] for e in evaluations],
        "policy_latency_ms": float(
            np.median([e["policy_latency_ms"]["median"] for e in evaluations])
        ),
        "num_envs": evaluations[0]["num_envs"],
        "commits": sorted({str(e["about"]["commit"]) for e in evaluations}),
    }


def publish(checkpoint_path: Path, target: Path, figures: dict[str, Any]) -> None:
    """Copy a policy without its training state, small enough for the repository.

    Raises:
        UserError: it is too large.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    about = {**checkpoint.about, "success_rate": figures["success_rate"]}
    save_checkpoint(target, replace(checkpoint, trainer=None, about=about))
    size = target.stat().st_size
    if size > MAX_PRETRAINED:
        target.unlink()
        raise UserError(f"{target} would take {size} bytes; at most {MAX_PRETRAINED} are allowed")
    print(f"policy: {target}, {size / 1e6:.1f} MB")


def command(config: Config) -> str:
    """The command line that makes the result again."""
    parts = ["python scripts/study.py", f"experiment={config['experiment']}"]
    if config["overrides"]:
        parts.append(f"'overrides=[{','.join(config['overrides'])}]'")
    return " ".join(parts)
