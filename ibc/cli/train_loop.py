"""The gradient steps of a run: logged, measured on held-out episodes, saved now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ibc.checkpoint import Checkpoint, save_checkpoint
from ibc.cli.config import Config
from ibc.distributed import any_process, from_first, is_first
from ibc.errors import Interrupted, UserError
from ibc.evaluation import evaluate
from ibc.losses.base import Metrics
from ibc.progress import Progress
from ibc.training import Trainer
from ibc.training.loggers import JsonlLogger, Logger, WandbLogger
from ibc.training.run_folder import BEST, CHECKPOINT, StopRequest
from ibc.training.tensorboard import TensorboardLogger
from ibc.training.trainer import LOG_EVERY
from ibc.training.validation import Best, chosen_measure

#: Seconds between checkpoints.
SAVE_INTERVAL = 60.0
#: The first seed of closed-loop measures during training: no result is reported on these.
FIRST_SEED = 300_000

#: What ``logger=`` may be.
LOGGERS = ("jsonl", "wandb", "tensorboard")


def gradient_steps(run_dir: Path, config: Config, trainer: Trainer, checkpoint: Checkpoint) -> None:
    """All remaining steps, logged, with a checkpoint now and then and at the end.

    Raises:
        Interrupted: at the user's request, after saving.
    """
    run = _Run(run_dir, config, trainer, checkpoint)
    if trainer.step >= trainer.num_steps or run.best.is_over:
        print(f"{run_dir} is trained already")
        return
    loggers = make_loggers(run_dir, config, trainer.step)
    run.save()  # fails now rather than in an hour, if it cannot be written
    progress = Progress("training", trainer.num_steps, "step", trainer.step)
    saved_at = time.monotonic()
    with StopRequest() as stop:
        while trainer.step < trainer.num_steps and not run.best.is_over:
            if any_process(stop.received):
                break
            step = trainer.step
            row = run.look(step, trainer.train_step())
            for logger in loggers if row else ():
                logger.log(step, {**row, "seconds": trainer.seconds})
            progress.advance(run.note)
            if time.monotonic() - saved_at > SAVE_INTERVAL:
                run.save()
                saved_at = time.monotonic()
        run.save()
    progress.close()
    for logger in loggers:
        logger.close()
    if run.best.is_over:
        print(f"no better {run.best.measure} since step {run.best.step}: training ends")
    elif trainer.step < trainer.num_steps:
        raise Interrupted(f"at step {trainer.step}; resume=true continues {run_dir}")


class _Run:
    """What is written of a run while it goes on: checkpoints, and rows of metrics."""

    def __init__(
        self, run_dir: Path, config: Config, trainer: Trainer, checkpoint: Checkpoint
    ) -> None:
        self.run_dir, self.config = run_dir, config
        self.trainer, self.checkpoint = trainer, checkpoint
        measure, is_held_out = config["validation"]["measure"], trainer.held_out is not None
        self.best = Best(
            chosen_measure(measure, is_held_out=is_held_out), config["validation"]["patience"]
        )
        if trainer.best is not None:
            self.best.load_state_dict(trainer.best)
        self._loss = self._held_out = ""

    @property
    def note(self) -> str:
        """What a line of progress says."""
        return ", ".join(filter(None, (self._loss, self._held_out)))

    def save(self, name: str = CHECKPOINT) -> None:
        """Write a checkpoint; the best one only acts, the other continues the run.

        Raises:
            UserError: training has diverged, and the checkpoint before stays.
        """
        self.trainer.check_finite()
        if not is_first():
            return
        trainer = self.trainer
        trainer.best = self.best.state_dict()
        progress = {"training_seconds": trainer.seconds, "step": trainer.step}
        current = replace(
            self.checkpoint,
            weights=trainer.weights(),
            trainer=trainer.state_dict() if name == CHECKPOINT else None,
            about={**self.checkpoint.about, **progress},
        )
        save_checkpoint(self.run_dir / name, current)

    def look(self, step: int, metrics: Metrics) -> dict[str, float]:
        """The row of a step; empty for most."""
        row: dict[str, float] = {}
        if step % LOG_EVERY == 0:
            row = self.trainer.numbers(metrics)
            self._loss = f"loss {row['loss']:.4f}"
        is_last = self.trainer.step == self.trainer.num_steps
        if is_last or self.trainer.step % self.config["validation"]["every"] == 0:
            measures = from_first(lambda: validate(self.trainer, self.config))
            row |= measures
            plain = {name.partition("/")[2]: value for name, value in measures.items()}
            if plain and self.best.update(self.trainer.step, plain):
                self.save(BEST)
            if plain:
                self._held_out = f"best {self.best.measure} {self.best.value:.4g}"
        return row


def validate(trainer: Trainer, config: Config) -> dict[str, float]:
    """Measures on held-out episodes, named ``held_out/...``, and in closed loop, where they are asked for."""
    measures: dict[str, float] = {}
    if trainer.held_out is not None:
        found = trainer.held_out_measures()
        measures = {f"held_out/{name}": value for name, value in found.items()}
    if config["validation"]["closed_loop"] and config["env"].get("id") is not None:
        result = evaluate(
            trainer.trained.eval(),
            config["env"],
            seeds=range(FIRST_SEED, FIRST_SEED + config["validation"]["closed_loop"]),
            num_envs=config["evaluation"]["num_envs"],
            num_execute_steps=config["num_execute_steps"],
        )
        measures["closed_loop/success_rate"] = result.success_rate
        measures["closed_loop/return"] = result.return_mean
    return measures


def make_loggers(run_dir: Path, config: Config, step: int) -> list[Logger]:
    """The local record always, and what ``logger=`` adds."""
    if config["logger"] not in LOGGERS:
        raise UserError(f"logger={config['logger']}; allowed: {', '.join(LOGGERS)}")
    return [JsonlLogger(run_dir, step), *_others(run_dir, config, step)] if is_first() else []


def log_result(
    run_dir: Path, config: Config, step: int, metrics: Mapping[str, Any], video: Path | None
) -> None:
    """Tell what ``logger=`` adds what the trained policy is worth: ``closed_loop/...``, ``held_out/...``, a film."""
    result = {
        f"closed_loop/{name}": metrics[key]
        for name, key in (("success_rate", "success_rate"), ("return", "return_mean"))
        if key in metrics
    }
    held_out = metrics.get("held_out", {})
    result |= {f"held_out/{k}": v for k, v in held_out.items() if isinstance(v, int | float)}
    for logger in _others(run_dir, config, step):
        logger.log(step, result)
        if video is not None:
            logger.film(step, video)
        logger.close()


def _others(run_dir: Path, config: Config, step: int) -> list[Logger]:
    if config["logger"] == "wandb":
        return [WandbLogger(run_dir, config, **config["wandb"])]
    if config["logger"] == "tensorboard":
        return [TensorboardLogger(run_dir, config, step)]
    return []
