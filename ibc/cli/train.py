"""Train a policy: demonstrations, gradient steps, closed loop, video and report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ibc.cli.config import Config, at_least, seeds_of
from ibc.cli.evaluate import measure
from ibc.component import call, construct, describe
from ibc.d4rl.data import find_task_data
from ibc.data.loading import Selection, find_data, load_dataset
from ibc.device import configure_device, provenance
from ibc.environment import EnvConfig, Environment
from ibc.errors import Interrupted, UserError
from ibc.evaluation import record_video
from ibc.evaluation.collect import collect_demonstrations
from ibc.evaluation.evaluate import format_metrics, write_json
from ibc.evaluation.report import write_report
from ibc.files import write_atomically
from ibc.policies.loading import build_policy, make_policy
from ibc.progress import Progress
from ibc.training import Trainer
from ibc.training.loggers import JsonlLogger, Logger, WandbLogger
from ibc.training.run_folder import CHECKPOINT, EVALUATION, REPORT, VIDEO, StopRequest, run_folder
from ibc.training.trainer import LOG_EVERY

#: Seconds between checkpoints.
SAVE_INTERVAL = 60.0

#: What ``logger=`` may be.
LOGGERS = ("jsonl", "wandb")

#: The parts of a configuration that a continued run must share with its beginning.
IDENTITY = (
    "env",
    "data",
    "policy",
    "loss",
    "optimizer",
    "trainer",
    "seed",
    "precision",
    "obs_horizon",
    "action_horizon",
)


def train(config: Config) -> None:
    """Run from nothing, or from where an interrupted run stopped, to a report."""
    with run_folder(Path(config["run_dir"]).expanduser(), resume=config["resume"]) as run_dir:
        train_in(run_dir, config)


def train_in(run_dir: Path, config: Config) -> dict[str, Any]:
    """Train in a folder that is held by this process; returns the metrics of the evaluation."""
    at_least(config, seed=0)
    at_least(config["trainer"], batch_size=1, num_steps=1, warmup_steps=0, keyframe_oversampling=0)
    seeds = seeds_of(config["evaluation"])
    device = configure_device(config["device"], config["precision"])
    torch.manual_seed(config["seed"])  # initial weights and dropout; all else has generators
    trainer, checkpoint = prepare(run_dir, config, device)
    gradient_steps(run_dir, config, trainer, checkpoint)
    final = load_checkpoint(run_dir / CHECKPOINT)
    policy = build_policy(final, device, description=final.policy, trust=None)
    metrics = measure(
        policy,
        final,
        seeds=seeds,
        num_envs=config["evaluation"]["num_envs"],
        num_execute_steps=config["num_execute_steps"],
    )
    write_json(run_dir / EVALUATION, metrics)
    paths = [run_dir / CHECKPOINT, run_dir / EVALUATION]
    video: bytes | None = None
    if config["video"]:
        video = record_video(
            policy,
            config["env"],
            seeds=range(seeds[0], seeds[0] + 3),
            num_execute_steps=config["num_execute_steps"],
        )
        write_atomically(run_dir / VIDEO, video)
        paths.append(run_dir / VIDEO)
    write_report(run_dir / REPORT, run_dir, policy, final, metrics, video)
    print(format_metrics(config["name"], config["policy_name"], metrics))
    print(f"training: {final.about['training_seconds']:.0f} s, {trainer.num_steps} steps")
    print("files: " + "  ".join(str(path) for path in [*paths, run_dir / REPORT]))
    return metrics


def prepare(run_dir: Path, config: Config, device: torch.device) -> tuple[Trainer, Checkpoint]:
    """Data, policy and trainer, at step 0 or where the folder's checkpoint stands."""
    data = config["data"]
    at_least(data, num_episodes=1, frame_skip=1)
    path = demonstrations(config)
    env = try_environment(config)
    chosen = {name: data[name] for name in Selection.__dataclass_fields__}
    dataset = load_dataset(
        path,
        obs_horizon=config["obs_horizon"],
        action_horizon=config["action_horizon"],
        env=env,
        selection=Selection(**chosen),
        device=device,
    )
    env.close()
    if dataset.num_clipped:
        print(f"{dataset.num_clipped} of {len(dataset)} actions clipped to the action space")
    policy = make_policy(config["policy"], dataset.spec).to(device)
    trainer: Trainer = call(
        Trainer,
        "trainer",
        policy,
        dataset,
        loss=construct(config["loss"], "loss"),
        optimizer=construct(config["optimizer"], "optimizer"),
        seed=config["seed"],
        **config["trainer"],
    )
    trainer.dry_run()
    checkpoint = Checkpoint(
        policy=describe(policy),
        spec=dataset.spec,
        weights={},
        config=config,
        about={**provenance(), "data": dataset.about},
    )
    if config["resume"] and (run_dir / CHECKPOINT).exists():
        restore(trainer, load_checkpoint(run_dir / CHECKPOINT), checkpoint)
    return trainer, checkpoint


def demonstrations(config: Config) -> Path:
    """Where the demonstrations are; they are collected if the environment has an expert and there are none."""
    data = config["data"]
    path = Path(data["path"]).expanduser()
    if config["env"].get("expert") is None:
        if config["task"] is not None and data["path"] == config["task"]:
            return find_task_data(config["task"], data["search"])
        return find_data(path, data["search"])
    if not path.exists():
        collect_demonstrations(
            config["env"], path, num_episodes=data["num_episodes"], first_seed=0, num_envs=16
        )
    return path


def try_environment(config: Config) -> Environment:
    """The environment after a reset, a step and, where a video is wanted, an image.

    What cannot work in closed loop is known before training, not after.
    """
    try:
        env = Environment(EnvConfig.from_mapping(config["env"]), render=config["video"])
    except UserError as error:
        raise UserError(f"{error}{' (video=false needs no images)' * config['video']}") from error
    env.reset(config["evaluation"]["first_seed"])
    env.step((env.action_low.clip(-1e3) + env.action_high.clip(None, 1e3)) / 2)
    if config["video"]:
        env.render()
    return env


def restore(trainer: Trainer, saved: Checkpoint, current: Checkpoint) -> None:
    """Put a trainer where an interrupted run stopped.

    Raises:
        UserError: the run was begun with another configuration or other data.
    """
    changed = differences(saved.config, current.config)
    if changed:
        raise UserError(
            f"this run was begun with other settings of {', '.join(changed)}; "
            "continue it with the same, or choose another run_dir=..."
        )
    if saved.about["data"]["sha256"] != current.about["data"]["sha256"]:
        raise UserError("this run was begun with other demonstrations; choose another run_dir=...")
    if saved.trainer is None:
        raise UserError("this checkpoint has no training state to continue from")
    trainer.policy.load_state_dict(saved.weights)
    trainer.load_state_dict(saved.trainer)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The keys in which two configurations describe different training runs."""

    def part(config: Mapping[str, Any], key: str) -> Any:
        value = config.get(key)
        if key == "data" and isinstance(value, dict):  # where it was found does not matter
            places = ("search", "cache")
            return {k: v for k, v in value.items() if k not in places and v is not None}
        return value

    return [key for key in IDENTITY if part(first, key) != part(second, key)]


def gradient_steps(run_dir: Path, config: Config, trainer: Trainer, checkpoint: Checkpoint) -> None:
    """All remaining steps, logged, with a checkpoint now and then and at the end.

    Raises:
        Interrupted: at the user's request, after saving.
    """

    def save() -> None:
        progress = {"training_seconds": trainer.seconds, "step": trainer.step}
        current = replace(
            checkpoint,
            weights=trainer.weights(),
            trainer=trainer.state_dict(),
            about={**checkpoint.about, **progress},
        )
        save_checkpoint(run_dir / CHECKPOINT, current)

    if trainer.step >= trainer.num_steps:
        print(f"{run_dir} is trained already")
        return
    loggers = make_loggers(run_dir, config, trainer.step)
    save()  # fails now rather than in an hour, if it cannot be written
    progress = Progress("training", trainer.num_steps, "step", initial=trainer.step)
    note = ""
    saved_at = time.monotonic()
    with StopRequest() as stop:
        while trainer.step < trainer.num_steps and not stop.received:
            step = trainer.step
            metrics = trainer.train_step()
            if step % LOG_EVERY == 0:
                numbers = trainer.numbers(metrics)
                for logger in loggers:
                    logger.log(step, {**numbers, "seconds": trainer.seconds})
                note = f"loss {numbers['loss']:.4f}"
            progress.advance(note)
            if time.monotonic() - saved_at > SAVE_INTERVAL:
                save()
                saved_at = time.monotonic()
        save()
    progress.close()
    for logger in loggers:
        logger.close()
    if trainer.step < trainer.num_steps:
        raise Interrupted(f"at step {trainer.step}; resume=true continues {run_dir}")


def make_loggers(run_dir: Path, config: Config, step: int) -> list[Logger]:
    """The local record always, and what ``logger=`` adds."""
    if config["logger"] not in LOGGERS:
        raise UserError(f"logger={config['logger']}; allowed: {', '.join(LOGGERS)}")
    loggers: list[Logger] = [JsonlLogger(run_dir, step)]
    if config["logger"] == "wandb":
        loggers.append(WandbLogger(run_dir, config, **config["wandb"]))
    return loggers
