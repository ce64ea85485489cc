"""Training runs that are done once: trained and evaluated in a run folder, and read from there ever after."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.config import compose
from benchmarks.intervals import number_interval, rate_interval
from benchmarks.results import Row, remembered
from ibc.checkpoint import load_checkpoint, save_checkpoint
from ibc.cli.config import Config
from ibc.cli.continuing import differences
from ibc.cli.train import prepare, train_in
from ibc.device import configure_device
from ibc.errors import UserError
from ibc.files import read_json_object
from ibc.training.run_folder import CHECKPOINT, EVALUATION, run_folder
from ibc.training.trainer import Trainer

#: A published policy may take this many bytes; one with image observations, twice as many.
MAX_PRETRAINED = 4_500_000
#: File of a run folder: the number of gradient steps that fit into the run's time.
STEPS = "steps.json"
#: Gradient steps before the clock starts, and steps that are timed at least, and for at least this part of the time.
BEFORE, TIMED, PART = 3, 12, 0.05


def run(overrides: Sequence[str], seconds: float | None = None) -> tuple[Path, Row]:
    """Train and evaluate by overrides of ``train.yaml``, unless the run folder holds that run already.

    Args:
        overrides: as on the command line.
        seconds: of training, in place of a number of steps.

    Returns:
        The run folder and the evaluation.
    """
    overrides = ["resume=true", "video=false", *overrides]
    config = compose("train", overrides)
    run_dir = Path(config["run_dir"])
    with run_folder(run_dir, resume=True):
        if seconds is not None:
            wanted = {"overrides": overrides, "seconds": seconds}
            steps = remembered(run_dir / STEPS, wanted, lambda: measure_steps(config, seconds))
            config = compose("train", [*overrides, f"trainer.num_steps={steps['steps']}"])
        if is_finished(run_dir, config):
            print(f"{run_dir}: finished, read")
            return run_dir, read_json_object(run_dir / EVALUATION)
        return run_dir, train_in(run_dir, config)


def is_finished(run_dir: Path, config: Config) -> bool:
    """Whether the folder holds a finished run of this configuration, with its evaluation."""
    if not (run_dir / EVALUATION).exists():
        return False
    checkpoint = load_checkpoint(run_dir / CHECKPOINT)
    same = not differences(checkpoint.config, config)
    evaluated = all(checkpoint.config[key] == config[key] for key in ("env", "evaluation"))
    return same and evaluated and checkpoint.about["step"] == config["trainer"]["num_steps"]


def measure_steps(config: Config, seconds: float) -> Row:
    """How many gradient steps of a run fit into so many seconds."""
    device = configure_device(config["device"], config["precision"])
    torch.manual_seed(config["seed"])
    trainer, _ = prepare(Path(config["run_dir"]), {**config, "resume": False}, device)
    return {"steps": steps_within(trainer, seconds)}


def steps_within(trainer: Trainer, seconds: float) -> int:
    """How many gradient steps take so many seconds, rounded down to two digits; the trainer is used up.

    By the median step: other work on the machine while it is measured would shorten the whole run.
    """
    for _ in range(BEFORE):
        trainer.train_step()
    times: list[float] = []
    while len(times) < TIMED or sum(times) < PART * seconds:
        start = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - start)
    count = max(1, int(seconds / np.median(times)))
    unit = int(10 ** max(0, len(str(count)) - 2))
    return count // unit * unit


def pool_held_out(evaluations: Sequence[Row]) -> Row:
    """Measures on held-out demonstrations, mean over training seeds, and of each."""
    abouts = [e["about"] for e in evaluations]
    by_seed = [e["held_out"] for e in evaluations]
    return {
        "held_out": {name: float(np.mean([each[name] for each in by_seed])) for name in by_seed[0]},
        "held_out_by_seed": by_seed,
        "num_episodes": abouts[0]["data"]["num_episodes"],
        "held_out_episodes": abouts[0]["data"]["held_out_episodes"],
        "training_seconds": [about["training_seconds"] for about in abouts],
        "commits": sorted({str(about["commit"]) for about in abouts}),
    }


def pool(evaluations: Sequence[Row]) -> Row:
    """Metrics over training seeds: means over all episodes, with intervals that count training seeds, too."""
    first = evaluations[0]
    if "env_id" not in first:
        return pool_held_out(evaluations)
    episodes = [episode for e in evaluations for episode in e["episodes"]]
    successes = [episode["success"] for episode in episodes]
    returns = [e["return_mean"] for e in evaluations]
    scores = [e["normalized_score"] for e in evaluations if e.get("normalized_score") is not None]
    by_seed = [e["success_rate"] for e in evaluations]
    values = {
        name: [[r[name] for r in e["episodes"] if r[name] is not None] for e in evaluations]
        for name in first.get("report", {})
    }
    row: dict[str, Any] = {
        "env_id": first["env_id"],
        "num_episodes": len(successes),
        "first_seed": first["first_seed"],
        "success_rate": sum(successes) / len(successes),
        "success_rate_ci95": list(rate_interval(by_seed, sum(successes), len(successes))),
        "success_rate_by_seed": by_seed,
        "return_mean": float(np.mean(returns)),
        "return_mean_by_seed": returns,
        "return_std": float(np.std(returns, ddof=1)) if len(returns) > 1 else None,
        "training_seconds": [e["about"]["training_seconds"] for e in evaluations],
        "policy_latency_ms": float(
            np.median([e["policy_latency_ms"]["median"] for e in evaluations])
        ),
        "num_envs": first["num_envs"],
        "commits": sorted({str(e["about"]["commit"]) for e in evaluations}),
    }
    if values:
        row["report"] = {
            name: {
                "mean": float(np.mean(np.concatenate(each))),
                "ci95": list(number_interval(each)),
                "by_seed": [float(np.mean(own)) for own in each],
            }
            for name, each in values.items()
        }
    if scores:
        row["normalized_score"] = float(np.mean(scores))
    return row


def publish(run_dir: Path, target: Path, success_rate: float) -> None:
    """Copy the policy of a run without its training state, small enough for the repository.

    Raises:
        UserError: it is too large; an earlier copy stays.
    """
    checkpoint = load_checkpoint(run_dir / CHECKPOINT)
    size = sum(value.nbytes for value in checkpoint.weights.values())
    has_image = any(field.is_image for field in checkpoint.spec.obs.values())
    limit = MAX_PRETRAINED * (2 if has_image else 1)
    if size > limit:
        raise UserError(f"{target} would take {size} bytes; at most {limit} are allowed")
    about = {**checkpoint.about, "success_rate": success_rate}
    save_checkpoint(target, replace(checkpoint, trainer=None, about=about))
    print(f"policy: {target}, {target.stat().st_size / 1e6:.1f} MB")
