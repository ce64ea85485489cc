"""The study command: experiments, several policies and training seeds each, one result file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.config import compose, main
from benchmarks.results import ResultTable, Row, read_result
from benchmarks.runs import pool, publish, run
from benchmarks.tables.studies import study_table
from ibc.cli.config import Config
from ibc.d4rl import find_task
from ibc.device import provenance
from ibc.errors import NoDataError


@dataclass(frozen=True)
class Case:
    """One part of a study: the overrides of its runs, and where the experiment's own policy is published."""

    label: str | None
    overrides: tuple[str, ...]
    pretrained: Path | None


def study(config: Config) -> None:
    """The command. Interrupted, it continues where it stopped when it is called again.

    Rows of policies that are not asked for stay in the result file, if the study is otherwise the same. With none asked
    for, ``policies=[]``, a protocol of experiments collects the rows of studies of these experiments.
    """
    every = cases(config)
    labels = [case.label for case in every]
    missing: list[Row] = []
    singles = single_results(config)
    abouts = [result["about"] for result in singles.values() if "about" in result]

    def head(rows: Sequence[Row]) -> Row:
        of_protocol = {
            "tasks": {"tasks": list(config["tasks"]), "overrides": config["overrides"], "missing": missing},
            "experiments": {"experiments": config["experiments"], "published": config["published"]},
        }  # fmt: skip
        return {
            "experiment": config["name"],
            "command": command(config, rows),
            "seeds": config["seeds"],
            **{key: value for name in of_protocol if config[name] for key, value in of_protocol[name].items()},
            "about": abouts[0] if abouts and not config["policies"] else provenance(),
        }  # fmt: skip

    table = ResultTable(
        path=Path(config["output"]),
        key=["task", "policy"],
        order=lambda key: (labels.index(key[0]), key[1] != "implicit"),  # type: ignore[arg-type]
        head=head,
        accept=lambda result, row: row.get("task") in labels and is_same(result, config),
    )
    table.add(
        *({"task": name, **row} for name, result in singles.items() for row in result["rows"])
    )
    for case in every:
        try:
            for policy in config["policies"]:
                table.add(study_case(config, case, policy))
        except NoDataError as error:
            print(f"not run: {error}")
            missing.append({"task": case.label, "reason": data_source(str(case.label))})
            table.add()
    print("\n".join(study_table({**head(table.rows), "rows": table.rows})))
    print(f"file: {config['output']}")


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


def study_case(config: Config, case: Case, policy: str) -> Row:
    """Train and evaluate one policy of one case with all seeds."""
    overrides = [*case.overrides, *config["overrides"]]
    own = compose("train", overrides)["policy_name"]  # trained by the experiment itself
    is_own = policy == own or (policy == "implicit" and own.startswith("implicit"))
    if not is_own:
        overrides = [f"policy={policy}", *(o for o in overrides if not o.startswith("policy="))]
    runs = [run([f"seed={seed}", *overrides]) for seed in config["seeds"]]
    if is_own and case.pretrained is not None:
        publish(runs[0][0], case.pretrained, runs[0][1]["success_rate"])
    task = {} if case.label is None else {"task": case.label}
    pooled = pool([evaluation for _, evaluation in runs])
    return {**task, "policy": policy, **pooled, "about": provenance()}


def data_source(name: str) -> str:
    """Where a task's data is published."""
    task = find_task(name)
    minari = f" or, with Minari, {task.minari}" if task.minari is not None else ""
    return f"no data for {name}: {task.url}{minari}"


def single_results(config: Config) -> dict[str, dict[str, Any]]:
    """What studies of single experiments have written beside the protocol's result file, by experiment."""
    results = {}
    for name in config["experiments"]:
        path = Path(config["output"]).with_stem(name)
        single = {**config, "name": name, "protocol_name": None}
        if path.exists() and is_same(result := read_result(path), single):
            results[name] = result
    return results


def is_same(result: dict[str, Any], config: Config) -> bool:
    """Whether a result was made by the command of ``config``, policies left aside."""
    first, second = (
        re.sub(r"'policies=\[[^]]*\]'", "", line) for line in (result["command"], command(config))
    )
    return first == second


def command(config: Config, rows: Sequence[Row] = ()) -> str:
    """The command line that makes the result again: for the policies of ``rows``, and those asked for now."""
    policies = dict.fromkeys([*(row["policy"] for row in rows), *config["policies"]])
    names = ",".join(sorted(policies, key=lambda policy: policy != "implicit"))
    protocol = config["protocol_name"]
    parts = [
        "python scripts/study.py",
        f"name={config['name']}" if protocol is None else f"protocol={protocol}",
        f"'policies=[{names}]'",
        f"'seeds=[{','.join(map(str, config['seeds']))}]'",
    ]
    if config["overrides"]:  # quoted for Hydra, and then for the shell
        quoted = ",".join(f'"{override}"' for override in config["overrides"])
        parts.append(f"'overrides=[{quoted}]'")
    return " ".join(parts)


if __name__ == "__main__":
    main(study, "study")
