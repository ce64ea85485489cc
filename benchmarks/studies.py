"""The study command: one experiment, several policies and training seeds, one result file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ibc.cli.config import Config, compose
from ibc.cli.evaluate import write_json
from ibc.cli.train import differences, train_in
from ibc.d4rl import find_task
from ibc.d4rl.data import NoDataError
from ibc.device import provenance
from ibc.errors import UserError
from ibc.evaluation.metrics import mean_interval, wilson_interval
from ibc.training.checkpoint import load_checkpoint, save_checkpoint
from ibc.training.run_folder import CHECKPOINT, EVALUATION, run_folder

#: A policy in the repository may take this many bytes; one that sees pictures, twice as many.
MAX_PRETRAINED = 3_000_000


def study(config: Config) -> None:
    """The command. Interrupted, it goes on where it stopped when it is called again.

    Rows of policies that are not asked for stay in the result file, if the study is otherwise the same. With none asked
    for, ``policies=[]``, a protocol of experiments puts together what studies of these have measured.
    """
    every = cases(config)
    asked = {(case.label, policy) for case in every for policy in config["policies"]}
    labels = [case.label for case in every]
    rows = [
        row
        for row in earlier_rows(config)
        if row.get("task") in labels and (row.get("task"), row["policy"]) not in asked
    ]
    result: dict[str, Any] = {
        "experiment": config["name"],
        "command": command(config, rows),
        "seeds": config["seeds"],
        "rows": rows,
        "about": provenance(),
    }
    if config["tasks"]:
        result |= {"tasks": list(config["tasks"]), "overrides": config["overrides"], "missing": []}
    if config["experiments"]:
        result |= {"experiments": config["experiments"], "published": config["published"]}
    for case in every:
        try:
            study_case(config, case, result)
        except NoDataError as error:
            print(f"not run: {error}")
            result["missing"].append({"task": case.label, "reason": source(str(case.label))})
        result["rows"].sort(  # energies first, then as they came
            key=lambda row: (labels.index(row.get("task")), row["policy"] != "implicit")
        )
        write_json(Path(config["output"]), result)
    for row in result["rows"]:
        print(
            f"{row.get('task', '')} {row['policy']}: success {row['success_rate']:.1%}, "
            f"return {row['return_mean']:.1f}".lstrip()
        )
    for entry in result.get("missing", []):
        print(f"{entry['task']}: no data")
    print(f"file: {config['output']}")


@dataclass(frozen=True)
class Case:
    """One part of a study: the overrides of its runs, and where the experiment's own policy is published."""

    label: str | None
    overrides: tuple[str, ...]
    pretrained: Path | None


def cases(config: Config) -> list[Case]:
    """The experiments or the tasks of a protocol; else the one experiment."""
    target = None if config["pretrained"] is None else Path(config["pretrained"])
    if config["experiments"]:
        return [
            Case(name, (f"experiment={name}",), target and target.with_stem(name))
            for name in config["experiments"]
        ]
    base = f"experiment={config['name']}"
    if config["tasks"]:
        return [
            Case(
                task,
                (base, f"task={task}", *overrides),
                target and target.with_stem(f"{target.stem}_{task.replace('/', '_')}"),
            )
            for task, overrides in config["tasks"].items()
        ]
    return [Case(None, (base,), target)]


def study_case(config: Config, case: Case, result: dict[str, Any]) -> None:
    """All policies and seeds of one case, written to the result file policy by policy."""
    overrides = [*case.overrides, *config["overrides"]]
    for policy in config["policies"]:
        runs = [one_run(overrides, policy, seed) for seed in config["seeds"]]
        row = {"policy": policy, **pool([figures for _, figures in runs])}
        result["rows"].append(row if case.label is None else {"task": case.label, **row})
        write_json(Path(config["output"]), result)
        own = compose("train", overrides)["policy_name"]  # what the experiment itself trains
        if policy == own and case.pretrained is not None:
            publish(runs[0][0] / CHECKPOINT, case.pretrained, runs[0][1])


def source(name: str) -> str:
    """Where a task's data would be had from."""
    task = find_task(name)
    minari = f" or, with Minari, {task.minari}" if task.minari is not None else ""
    return f"no data for {name}: {task.url}{minari}"


def one_run(overrides: Sequence[str], policy: str, seed: int) -> tuple[Path, dict[str, Any]]:
    """Folder and evaluation of one training run; trained only if that has not been done."""
    own = [f"policy={policy}", f"seed={seed}", "resume=true", "video=false"]
    overrides = [overrides[0], *own, *overrides[1:]]  # the experiment first: the rest corrects it
    run_config = compose("train", overrides)
    run_dir = Path(run_config["run_dir"])
    with run_folder(run_dir, resume=True):
        if is_done(run_dir, run_config):
            return run_dir, json.loads((run_dir / EVALUATION).read_text())
        return run_dir, train_in(run_dir, run_config)


def is_done(run_dir: Path, config: Config) -> bool:
    """Whether the folder holds a finished run of this very configuration with its evaluation."""
    if not (run_dir / EVALUATION).exists():
        return False
    checkpoint = load_checkpoint(run_dir / CHECKPOINT)
    same = not differences(checkpoint.config, config)
    evaluated = checkpoint.config["evaluation"] == config["evaluation"]
    return same and evaluated and checkpoint.about["step"] == config["trainer"]["num_steps"]


def pool(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all training seeds: episodes pooled for success, mean and spread over seeds for the return."""
    scores = [e["normalized_score"] for e in evaluations if e.get("normalized_score") is not None]
    successes = [row["success"] for e in evaluations for row in e["episodes"]]
    returns = [e["return_mean"] for e in evaluations]
    report = {}
    for name in evaluations[0].get("report", {}):
        values = [row[name] for e in evaluations for row in e["episodes"]]
        report[name] = {"mean": float(np.mean(values)), "ci95": list(mean_interval(values))}
    return {
        "env_id": evaluations[0]["env_id"],
        "num_episodes": len(successes),
        "first_seed": evaluations[0]["first_seed"],
        "success_rate": float(np.mean(successes)),
        "success_rate_ci95": list(wilson_interval(sum(successes), len(successes))),
        "success_rate_by_seed": [e["success_rate"] for e in evaluations],
        "return_mean": float(np.mean(returns)),
        "return_mean_by_seed": returns,
        "return_std": float(np.std(returns, ddof=1)) if len(returns) > 1 else None,
        **({"report": report} if report else {}),
        **({"normalized_score": float(np.mean(scores))} if scores else {}),
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
        UserError: it is too large; an earlier copy stays.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    about = {**checkpoint.about, "success_rate": figures["success_rate"]}
    size = sum(value.nbytes for value in checkpoint.policy.values())
    sees = any(field.is_image for field in checkpoint.spec.obs.values())
    most = MAX_PRETRAINED * (2 if sees else 1)
    if size > most:
        raise UserError(f"{target} would take {size} bytes; at most {most} are allowed")
    save_checkpoint(target, replace(checkpoint, trainer=None, about=about))
    print(f"policy: {target}, {target.stat().st_size / 1e6:.1f} MB")


def earlier_rows(config: Config) -> list[dict[str, Any]]:
    """What result files hold of the same study, for whichever policies.

    A protocol of experiments also has what studies of these alone have measured.
    """
    path = Path(config["output"])
    rows = rows_of(path, config)
    for name in config["experiments"]:
        alone = {**config, "name": name, "protocol_name": None}
        measured = [{"task": name, **row} for row in rows_of(path.with_stem(name), alone)]
        again = {row["policy"] for row in measured}
        rows = [r for r in rows if r["task"] != name or r["policy"] not in again] + measured
    return rows


def rows_of(path: Path, config: Config) -> list[dict[str, Any]]:
    """The rows of a result file that the same command made, but for its policies; none where there are none."""
    if not path.exists():
        return []
    earlier: dict[str, Any] = json.loads(path.read_text())
    same = _without_policies(earlier["command"]) == _without_policies(command(config, []))
    rows: list[dict[str, Any]] = earlier["rows"]
    return rows if same else []


def _without_policies(command_line: str) -> str:
    return re.sub(r"'policies=\[[^]]*\]'", "", command_line)


def command(config: Config, rows: Sequence[dict[str, Any]]) -> str:
    """The command line that makes the result again: for the policies of ``rows``, and those asked for now."""
    policies = dict.fromkeys([*(row["policy"] for row in rows), *config["policies"]])
    lists = {
        "policies": ",".join(sorted(policies, key=lambda policy: policy != "implicit")),
        "seeds": ",".join(map(str, config["seeds"])),
    }
    protocol = config["protocol_name"]
    what = f"name={config['name']}" if protocol is None else f"protocol={protocol}"
    parts = ["python scripts/study.py", what]
    parts += [f"'{key}=[{values}]'" for key, values in lists.items()]
    if config["overrides"]:  # quoted for Hydra, and then for the shell
        quoted = ",".join(f'"{override}"' for override in config["overrides"])
        parts.append(f"'overrides=[{quoted}]'")
    return " ".join(parts)
