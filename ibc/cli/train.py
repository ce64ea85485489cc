"""The training command: demonstrations, gradient steps, closed loop, film and report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from ibc.cli.collect import (
    collect_demonstrations,
    find_data,
    load_demonstrations,
    make_spec,
    manifest,
)
from ibc.cli.config import Config, at_least, build, complete
from ibc.cli.evaluate import EvaluationConfig, evaluate_policy, format_figures, write_json
from ibc.cli.record import film
from ibc.d4rl.data import find_task_data
from ibc.data import WindowDataset, keep_best, reweight_by_return, temporal_subsample
from ibc.device import configure_device, provenance
from ibc.environment import EnvConfig, Environment
from ibc.errors import Interrupted, UserError
from ibc.evaluation.report import write_report
from ibc.files import write_atomically
from ibc.spec import Spec
from ibc.training.checkpoint import (
    Checkpoint,
    build_policy,
    load_checkpoint,
    save_checkpoint,
)
from ibc.training.loggers import JsonlLogger, Logger, Progress, WandbLogger
from ibc.training.run_folder import CHECKPOINT, EVALUATION, REPORT, VIDEO, StopRequest, run_folder
from ibc.training.trainer import Trainer

#: Seconds between checkpoints, and gradient steps between logged rows.
SAVE_INTERVAL, LOG_EVERY = 60.0, 20

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
    """The command: from nothing, or from where an interrupted run stopped, to a report."""
    with run_folder(Path(config["run_dir"]), resume=config["resume"]) as run_dir:
        train_in(run_dir, config)


def train_in(run_dir: Path, config: Config) -> dict[str, Any]:
    """Train in a folder that is ours; returns the evaluation."""
    at_least(config, seed=0)
    at_least(config["trainer"], batch_size=1, num_steps=1, warmup_steps=0, keyframe_oversampling=0)
    settings = EvaluationConfig(**config["evaluation"])
    device = configure_device(config["device"], config["precision"])
    torch.manual_seed(config["seed"])  # initial weights and dropout; all else has generators
    trainer, checkpoint = prepare(run_dir, config, device)
    gradient_steps(run_dir, config, trainer, checkpoint)
    final = load_checkpoint(run_dir / CHECKPOINT)
    policy = build_policy(final, device)
    figures = evaluate_policy(policy, final, settings)
    write_json(run_dir / EVALUATION, figures)
    paths = [run_dir / CHECKPOINT, run_dir / EVALUATION]
    video: bytes | None = None
    if config["video"]:
        video = film(policy, final, range(settings.first_seed, settings.first_seed + 3))
        write_atomically(run_dir / VIDEO, video)
        paths.append(run_dir / VIDEO)
    write_report(run_dir / REPORT, run_dir, policy, final, figures, video)
    print(format_figures(config["name"], config["policy_name"], figures))
    print(f"training: {final.about['training_seconds']:.0f} s, {trainer.num_steps} steps")
    print("files: " + "  ".join(str(path) for path in [*paths, run_dir / REPORT]))
    return figures


def prepare(run_dir: Path, config: Config, device: torch.device) -> tuple[Trainer, Checkpoint]:
    """Data, policy and trainer, at step 0 or where the folder's checkpoint stands."""
    data = config["data"]
    at_least(data, num_episodes=1, frame_skip=1)
    data_path = Path(data["path"])
    if config["env"].get("expert") is None:
        data_path = (
            find_task_data(config["task"], data["search"])
            if data["path"] == config["task"]
            else find_data(data_path, data["search"])
        )
    elif not data_path.exists():
        collect_demonstrations(
            config["env"],
            data_path,
            num_episodes=data["num_episodes"],
            first_seed=0,
            num_envs=16,
        )
    env = try_environment(config)
    episodes = load_demonstrations(
        data_path, data["obs_names"], env, episode_length=data["episode_length"]
    )
    if data["keep_best"] is not None:
        episodes = keep_best(episodes, data["keep_best"])
    if data["return_temperature"] is not None:
        episodes = reweight_by_return(episodes, data["return_temperature"])
    episodes = [
        fast for episode in episodes for fast in temporal_subsample(episode, data["frame_skip"])
    ]
    spec = make_spec(
        episodes,
        env,
        obs_horizon=config["obs_horizon"],
        action_horizon=config["action_horizon"],
    )
    env.close()
    dataset = WindowDataset(episodes, spec, device)
    if dataset.num_clipped:
        print(f"{dataset.num_clipped} of {len(dataset)} actions clipped to the action space")
    about = {**provenance(), "data": manifest(data_path, episodes)}
    trainer = make_trainer(config, spec, dataset, device)
    checkpoint = Checkpoint(config=config, spec=spec, policy={}, trainer=None, about=about)
    if config["resume"] and (run_dir / CHECKPOINT).exists():
        restore(trainer, load_checkpoint(run_dir / CHECKPOINT), checkpoint)
    return trainer, checkpoint


def try_environment(config: Config) -> Environment:
    """The environment after a reset, a step and, where a film is wanted, a picture.

    What cannot work in closed loop is known before training, not after.
    """
    try:
        env = Environment(EnvConfig.from_mapping(config["env"]), render=config["video"])
    except UserError as error:
        raise UserError(f"{error}{' (video=false needs no pictures)' * config['video']}") from error
    env.reset(config["evaluation"]["first_seed"])
    env.step((env.action_low.clip(-1e3) + env.action_high.clip(None, 1e3)) / 2)
    if config["video"]:
        env.render()
    return env


def make_trainer(
    config: Config, spec: Spec, dataset: WindowDataset, device: torch.device
) -> Trainer:
    """A fitted policy and the trainer that will take it through its steps."""
    policy = complete(build(config["policy"], "policy"), "policy", spec=spec).to(device)
    policy.fit(dataset)
    trainer: Trainer = complete(
        Trainer,
        "trainer",
        policy=policy,
        loss=build(config["loss"], "loss"),
        dataset=dataset,
        optimizer=build(config["optimizer"], "optimizer"),
        seed=config["seed"],
        **config["trainer"],
    )
    trainer.dry_run()
    return trainer


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
    trainer.policy.load_state_dict(saved.policy)
    trainer.load_state_dict(saved.trainer)


def differences(first: Config, second: Config) -> list[str]:
    """The keys in which two configurations describe different training runs."""

    def part(config: Config, key: str) -> Any:
        value = config.get(key)
        if key == "data" and isinstance(value, dict):  # where it was found does not matter
            return {k: v for k, v in value.items() if k != "search" and v is not None}
        return value

    return [key for key in IDENTITY if part(first, key) != part(second, key)]


def gradient_steps(run_dir: Path, config: Config, trainer: Trainer, checkpoint: Checkpoint) -> None:
    """All remaining steps, logged, with a checkpoint now and then and at the end.

    Raises:
        Interrupted: at the user's request, after saving.
    """

    def save() -> None:
        save_checkpoint(
            run_dir / CHECKPOINT,
            Checkpoint(
                config=config,
                spec=checkpoint.spec,
                policy=trainer.policy.state_dict(),
                trainer=trainer.state_dict(),
                about={
                    **checkpoint.about,
                    "training_seconds": trainer.seconds,
                    "step": trainer.step,
                },
            ),
        )

    if trainer.step >= trainer.num_steps:
        print(f"{run_dir} is trained already")
        return
    loggers = make_loggers(run_dir, config, trainer.step)
    save()  # fails now rather than in an hour, if it cannot be written
    progress = Progress("training", trainer.num_steps, "step", initial=trainer.step)
    saved_at = time.monotonic()
    with StopRequest() as stop:
        while trainer.step < trainer.num_steps and not stop.received:
            step = trainer.step
            metrics = trainer.train_step()
            if step % LOG_EVERY == 0:
                for logger in loggers:
                    logger.log(step, {**metrics, "seconds": trainer.seconds})
            progress.advance(f"loss {metrics['loss']:.4f}")
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
    loggers: list[Logger] = [JsonlLogger(run_dir, step)]
    if config["logger"]["name"] == "wandb":
        loggers.append(WandbLogger(run_dir, config, **config["wandb"]))
    return loggers
