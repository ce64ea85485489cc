"""Train a policy: demonstrations, gradient steps, closed loop, video and report."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ibc.cli.config import Config, at_least, seeds_of
from ibc.cli.continuing import begin_with, restore
from ibc.cli.evaluate import measure, origin
from ibc.cli.train_loop import gradient_steps, log_result
from ibc.cli.trial import try_environment, try_figures
from ibc.component import describe
from ibc.construct import call, construct
from ibc.d4rl import find_task
from ibc.d4rl.data import find_task_data
from ibc.data.dataset import WindowDataset
from ibc.data.loading import find_data, load_split
from ibc.data.selection import Selection
from ibc.data.store import AlreadyThere
from ibc.device import configure_device, provenance
from ibc.distributed import first_then_others, is_first, join_processes, wait_for_all
from ibc.errors import NoDataError, UserError
from ibc.evaluation.collect import collect_demonstrations
from ibc.evaluation.evaluate import format_held_out, format_metrics, write_json
from ibc.evaluation.record import Film, join, record_films, seeds_to_film
from ibc.evaluation.report import write_report
from ibc.files import write_atomically
from ibc.policies import Policy
from ibc.policies.loading import build_policy, make_policy
from ibc.training import Trainer
from ibc.training.run_folder import BEST, CHECKPOINT, EVALUATION, REPORT, VIDEO, run_folder
from ibc.training.validation import IN_CLOSED_LOOP, MEASURES, check_measure, held_out_measures

#: Part of the episodes that is held out where there is no environment to evaluate in.
HOLDOUT = 0.1
#: Demonstrations that an expert is asked for where nothing is said.
NUM_DEMONSTRATIONS = 2000


def train(config: Config) -> None:
    """Run from nothing, or from where an interrupted run stopped, to a report.

    Of several processes (:mod:`ibc.distributed`), the first one holds the folder.
    """
    join_processes(on_gpu=config["device"] != "cpu" and torch.cuda.is_available())
    path = Path(config["run_dir"]).expanduser()
    held = run_folder(path, resume=config["resume"]) if is_first() else nullcontext(path)
    with held as run_dir:
        wait_for_all()
        train_in(run_dir, config)
        wait_for_all()


def train_in(run_dir: Path, config: Config) -> dict[str, Any]:
    """Train in a folder that is held by this process; returns the metrics of the evaluation, in the first one."""
    at_least(config, seed=0)
    at_least(
        config["trainer"],
        "trainer.",
        batch_size=1,
        num_steps=1,
        warmup_steps=0,
        keyframe_oversampling=0,
    )
    at_least(config["network"], "network.", width=1, num_blocks=0)
    at_least(config["validation"], "validation.", every=1, closed_loop=0, patience=1)
    at_least(config, num_execute_steps=1)
    check_judging(config)
    seeds_of(config["evaluation"])
    device = configure_device(config["device"], config["precision"])
    torch.manual_seed(config["seed"])  # initial weights and dropout; all else has generators
    trainer, checkpoint = prepare(run_dir, config, device)
    gradient_steps(run_dir, config, trainer, checkpoint)
    if not is_first():
        return {}
    saved = load_checkpoint(run_dir / CHECKPOINT)
    final = replace(saved, config=config)
    policy = build_policy(final, device, description=final.policy, trust=None)
    metrics, films = assess(policy, final, trainer, config)
    paths = [path for path in (run_dir / CHECKPOINT, run_dir / BEST) if path.exists()]
    write_json(run_dir / EVALUATION, metrics)
    if {**saved.config, "resume": config["resume"]} != config:  # it says how the run is judged now
        save_checkpoint(run_dir / CHECKPOINT, final)
    if films:
        write_atomically(run_dir / VIDEO, join(films))
    log_result(run_dir, config, trainer.step, metrics, run_dir / VIDEO if films else None)
    paths += [run_dir / name for name in (EVALUATION, VIDEO, REPORT) if name != VIDEO or films]
    shown = trainer.dataset if trainer.held_out is None else trainer.held_out
    write_report(run_dir / REPORT, run_dir, policy, final, metrics, films, shown)
    if has_environment(config):
        print(format_metrics(config["name"], config["policy_name"], metrics))
    if "held_out" in metrics:
        print(format_held_out(metrics["held_out"], final.about["data"]["held_out_episodes"]))
    print(f"training: {final.about['training_seconds']:.0f} s, {trainer.step} steps")
    print("files: " + "  ".join(str(path) for path in paths))
    return metrics


def assess(
    policy: Policy, final: Checkpoint, trainer: Trainer, config: Config
) -> tuple[dict[str, Any], list[Film]]:
    """What the trained policy is worth: in closed loop, with films, and on held-out demonstrations."""
    seeds = seeds_of(config["evaluation"])
    films: list[Film] = []
    if has_environment(config):
        metrics = measure(
            policy,
            final,
            seeds=seeds,
            num_envs=config["evaluation"]["num_envs"],
            num_execute_steps=config["num_execute_steps"],
            processes=config["evaluation"]["processes"],
            exact=config["evaluation"]["exact"],
        )
        if config["video"]:
            try:
                films = record_films(
                    policy,
                    config["env"],
                    seeds=seeds_to_film(metrics["episodes"]),
                    num_execute_steps=config["num_execute_steps"],
                )
            except UserError as error:  # nothing that was trained and measured is lost for it
                print(f"no film: {error}")
    else:
        metrics = {"about": origin(final)}
    if trainer.held_out is not None:
        data = trainer.held_out, trainer.dataset
        metrics["held_out"] = held_out_measures(policy, trainer.loss, *data)
    line = command_line()
    if line is not None:
        metrics["about"]["command"] = line
    return metrics, films


def command_line() -> str | None:
    """The command of this process, where it is one that trains."""
    if Path(sys.argv[0]).name not in ("ibc train", "train.py"):
        return None
    return f"{sys.argv[0]} {shlex.join(sys.argv[1:])}".strip()


def has_environment(config: Config) -> bool:
    """Whether there is a closed loop; a policy is trained from data alone where no environment is named.

    Raises:
        UserError: something is said of an environment that is not named.
    """
    if config["env"].get("id") is not None:
        return True
    if any(value not in (None, "success", "any") for value in config["env"].values()):
        raise UserError("env.* has no effect without env.id=...")
    return False


def prepare(run_dir: Path, config: Config, device: torch.device) -> tuple[Trainer, Checkpoint]:
    """Data, policy and trainer, at step 0 or where the folder's checkpoint stands."""
    data = config["data"]
    at_least(data, "data.", num_episodes=1, frame_skip=1)
    check_task(config)
    path = first_then_others(lambda: demonstrations(config))
    env = try_environment(config) if has_environment(config) else None
    holdout = data["holdout"]
    chosen = {name: data[name] for name in Selection.__dataclass_fields__}
    dataset, held_out = load_split(
        path,
        obs_horizon=config["obs_horizon"],
        action_horizon=config["action_horizon"],
        env=env,
        selection=Selection(**chosen),
        device=device,
        holdout=(HOLDOUT if env is None else 0.0) if holdout is None else holdout,
        action_limits=data["action_limits"],
    )
    if env is not None:  # after the data has been held against it
        try_figures(env, config["evaluation"]["first_seed"])
        env.close()
    tell_of(dataset, config)
    policy = make_policy(config["policy"], dataset.spec).to(device)
    check_measure(config["validation"]["measure"], policy)
    trainer: Trainer = call(
        Trainer,
        "trainer",
        policy,
        dataset,
        loss=construct(config["loss"], "loss"),
        optimizer=construct(config["optimizer"], "optimizer"),
        seed=config["seed"],
        held_out=held_out,
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
    if config["resume"] and is_first():
        print(f"{run_dir} has no run to continue; this one begins anew")
    if config["init_from"] is not None:
        begin_with(trainer, Path(config["init_from"]))
    return trainer, checkpoint


def tell_of(dataset: WindowDataset, config: Config) -> None:
    """Print what a user may not expect of the demonstrations."""
    if dataset.num_clipped:
        print(f"{dataset.num_clipped} of {len(dataset)} actions clipped to the action space")
    count, is_collected = dataset.about["num_episodes"], config["env"].get("expert") is not None
    if is_collected and config["data"]["num_episodes"] is None and count < NUM_DEMONSTRATIONS:
        print(
            f"{config['data']['path']} has {count} episodes, which are all taken; "
            f"where there are none, {NUM_DEMONSTRATIONS} are collected"
        )


def check_judging(config: Config) -> None:
    """Refuse settings of validation and evaluation that could not be heeded, before anything is trained.

    Raises:
        UserError: naming the key and what is allowed.
    """
    steps, horizon = config["num_execute_steps"], config["action_horizon"]
    if steps is not None and steps > horizon:
        raise UserError(f"num_execute_steps={steps}; the policy's chunks have {horizon} actions")
    validation, holdout = config["validation"], config["data"]["holdout"]
    measure = validation["measure"]
    if measure not in (None, *MEASURES):
        raise UserError(f"validation.measure={measure}; allowed: {', '.join(MEASURES)}")
    is_simulated = has_environment(config)
    if validation["closed_loop"] and not is_simulated:
        raise UserError(
            f"validation.closed_loop={validation['closed_loop']} needs an environment: env=... or env.id=..."
        )
    is_held_out = (0 if is_simulated else HOLDOUT) if holdout is None else holdout
    if measure in IN_CLOSED_LOOP and not validation["closed_loop"]:
        raise UserError(f"validation.measure={measure} needs validation.closed_loop=20")
    if measure not in (None, *IN_CLOSED_LOOP) and not is_held_out:
        raise UserError(f"validation.measure={measure} needs held-out episodes: data.holdout=0.1")
    if validation["patience"] is not None and not is_held_out and not validation["closed_loop"]:
        raise UserError(
            f"validation.patience={validation['patience']} needs measures: data.holdout=0.1 or validation.closed_loop=20"
        )


def check_task(config: Config) -> None:
    """Refuse a task of D4RL whose environment is not the run's: its score would be another task's.

    Raises:
        UserError: naming both.
    """
    if config["task"] is None:
        return
    of_task, chosen = find_task(config["task"]).env_id, config["env"].get("id")
    if of_task != chosen:
        raise UserError(
            f"task={config['task']} is of {of_task}, and env.id={chosen}; give experiment=d4rl, or no task"
        )


def demonstrations(config: Config) -> Path:
    """Where the demonstrations are; they are collected if the environment has an expert and there are none."""
    data = config["data"]
    path = Path(data["path"]).expanduser()
    if not has_environment(config) or config["env"].get("expert") is None:
        if config["task"] is not None and data["path"] == config["task"]:
            return find_task_data(config["task"], data["search"])
        return find_data(path, data["search"])
    with suppress(NoDataError):
        if (found := find_data(path, data["search"])).exists():
            return found
    with suppress(AlreadyThere):  # another process has collected it since this one looked
        collect_demonstrations(
            config["env"],
            path,
            num_episodes=data["num_episodes"] or NUM_DEMONSTRATIONS,
            first_seed=0,
            num_envs=16,
        )
    return path
