"""Tables of studies and of single evaluations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.results import Row, column_table, markdown
from benchmarks.tables.published import PUBLISHED, Score
from ibc.d4rl.tasks import find_task

Columns = Mapping[str, Callable[[Row], str]]

POLICY: Columns = {"policy": lambda row: row["policy"]}
SUCCESS: Columns = {
    "success": lambda row: f"{row['success_rate']:.1%}",
    "95 % interval": lambda row: "{:.1%} to {:.1%}".format(*row["success_rate_ci95"]),
}
#: Empty where other runs shared the machine.
TRAINING: Columns = {
    "training": lambda row: (
        ""
        if "runs_at_once" in row
        else f"{sum(row['training_seconds']) / len(row['training_seconds']):.0f} s"
    )
}
DECISION: Columns = {
    "ms per decision": lambda row: (
        "" if "runs_at_once" in row else f"{row['policy_latency_ms']:.1f}"
    )
}


def study_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines of a study: its rows, and the command that made them."""
    rows = result["rows"]
    several = "tasks" in result or "experiments" in result
    if "tasks" in result:
        lines = task_table(result)
    elif "experiments" in result:
        lines = experiment_table(result)
    else:
        lines = policy_table(rows, timed="runs_at_once" not in result)
    if not rows:
        return [*lines, "", f"`{result['command']}`", ""]
    first = rows[0]
    note = (
        f"`{result['command']}`: {'' if several else first['env_id'] + ', '}training seeds "
        f"{', '.join(map(str, result['seeds']))}, {first['num_episodes']} episodes a policy, seeds from "
        f"{first['first_seed']}; {machines(result)}. "
    )
    if any(row["policy"] == "implicit" for row in rows):
        note += "implicit is the implicit policy that the experiment chooses. "
    if "runs_at_once" in result:
        note += (
            f"Up to {result['runs_at_once']} runs shared the machine, so their times are left out. "
        )
    elif not several:
        note += (
            "Milliseconds are the median for one decision for "
            f"{first['num_envs']} environments at once. "
        )
    shared = {row["policy"]: row["runs_at_once"] for row in rows if "runs_at_once" in row}
    if shared and not several:
        note += (
            f"Up to {max(shared.values())} runs shared the machine when {', '.join(shared)} was measured, "
            "so its times are left out. "
        )
    note += (
        "Intervals are over training seeds and episodes; ± is the standard deviation between training seeds."
        if len(result["seeds"]) > 1
        else "Intervals are over the episodes of this one training seed."
    )
    return [*lines, "", note, ""]


def machines(result: Row) -> str:
    """The machine of a study; whose results each one made, where there are several."""
    made: dict[str, list[str]] = {}
    for row in result["rows"]:
        about = row.get("about", result["about"])
        gpu = f", {about['gpu']}" if about.get("gpu") else ""
        names = made.setdefault(f"{about['cores']} cores, {about['processor']}{gpu}", [])
        names += [row["policy"]] if row["policy"] not in names else []
    if len(made) == 1:
        return next(iter(made))
    return "; ".join(f"{', '.join(names)}: {machine}" for machine, names in made.items())


def policy_table(rows: Sequence[Row], *, timed: bool) -> list[str]:
    """A row a policy, trained by one experiment; with the times of training and of decisions, if they were alone."""
    returns: Columns = {"return": lambda row: f"{row['return_mean']:.2f}{spread(row, '.2f')}"}
    times = {**TRAINING, **DECISION} if timed else {}
    return column_table({**POLICY, **reports(rows[:1]), **SUCCESS, **returns, **times}, rows)


def experiment_table(result: dict[str, Any]) -> list[str]:
    """A row an experiment and policy, with its published success (%)."""
    rows, published = result["rows"], result["published"]

    def of_paper(row: Row) -> str:
        value = published.get(row["task"], {}).get(row["policy"])
        return "none" if value is None else f"{value:g}"

    head: Columns = {"experiment": lambda row: row["task"], **POLICY, "published": of_paper}
    times = {} if "runs_at_once" in result else TRAINING
    return column_table({**head, **reports(rows), **SUCCESS, **times}, rows)


def task_table(result: dict[str, Any]) -> list[str]:
    """A row a task of D4RL, two columns a policy; none for a task without data and without published scores."""
    policies = list(dict.fromkeys(row["policy"] for row in result["rows"])) or ["implicit", "mse"]
    half = "_best_half" if result["experiment"] == "d4rl_best_half" else ""
    by_task = {(row["task"], row["policy"]): row for row in result["rows"]}
    missing = {entry["task"]: entry["reason"] for entry in result["missing"]}
    cells, reasons = [], []
    for task in result["tasks"]:
        published = PUBLISHED.get(find_task(task).name, {})
        if task in missing:
            if not any(policy + half in published for policy in policies):
                continue
            reasons.append(f"- {missing[task]}")
        line = [task]
        for policy in policies:
            row = by_task.get((task, policy))
            line.append(score_text(published.get(policy + half)))
            line.append(task_text(row) if row else "no data" if task in missing else "not run")
        cells.append(line)
    head = ["task", *(f"{p}, {who}" for p in policies for who in ("published", "ours"))]
    return [*markdown(head, cells), "", *reasons]


#: Kinds of policies that are set side by side, and the results' names of each.
KINDS = {"energy": ("implicit",), "regression": ("mse",), "diffusion": ("edm", "diffusion")}


def side_by_side_table(results: Sequence[Row]) -> list[str]:
    """A row a study, a column a kind of policy: success with its interval, and the time of a decision."""

    def cell(row: Row, timed: bool) -> str:
        low, high = row["success_rate_ci95"]
        rates = f"{row['success_rate']:.0%} ({low:.0%} to {high:.0%})"
        return f"{rates}<br>{row['policy_latency_ms']:.1f} ms" if timed else rates

    lines = []
    for result in results:
        of = {
            row["policy"]: cell(row, "runs_at_once" not in {**result, **row})
            for row in result["rows"]
        }
        cells = [next((of[name] for name in names if name in of), "") for names in KINDS.values()]
        lines.append([f"`{result['experiment']}`", str(len(result["seeds"])), *cells])
    note = (
        "Success with its 95 % interval, and the median time of one decision for "
        f"{results[0]['rows'][0]['num_envs']} environments at once, where it was "
        "measured alone on two cores. An empty cell was not measured. "
        "The command of each row stands under its own table, on the pages of results."
    )
    return [*markdown(["`experiment=`", "training seeds", *KINDS], lines), "", note, ""]


def evaluation_table(results: Sequence[Row]) -> list[str]:
    """A row an evaluation: the experiment and policy, if one was trained, success and length of episodes."""
    first = results[0]

    def length(row: Row) -> str:
        return f"{sum(e['length'] for e in row['episodes']) / len(row['episodes']):.0f}"

    def trained(row: Row) -> str:
        return ", ".join(row["about"][k] for k in ("experiment", "policy") if k in row["about"])

    columns = {"": trained, **reports([first]), **SUCCESS, "steps": length}
    note = f"{first['env_id']}, {first['num_episodes']} episodes, seeds from {first['first_seed']}."
    return [*column_table(columns, results), "", note, ""]


def reports(rows: Iterable[Row]) -> Columns:
    """Columns of the metrics that environments report themselves: mean and 95 % interval."""

    def text(row: Row, name: str) -> str:
        report = row.get("report", {})
        if name not in report:
            return ""
        if "ci95" not in report[name]:
            return f"{report[name]['mean']:.3f}"
        return "{mean:.3f} ({ci95[0]:.3f} to {ci95[1]:.3f})".format(**report[name])

    names = dict.fromkeys(name for row in rows for name in row.get("report", {}))
    return {name: lambda row, name=name: text(row, name) for name in names}  # type: ignore[misc]


def spread(row: Row, precision: str) -> str:
    """The standard deviation of returns between training seeds, if there are several."""
    return "" if row["return_std"] is None else f" ± {row['return_std']:{precision}}"


def score_text(score: Score | None) -> str:
    """A published mean return with its deviation."""
    if score is None:
        return "none"
    mean, deviation = score
    return f"{mean:g}" + (f" ± {deviation:g}" if deviation is not None else "")


def task_text(row: Row) -> str:
    """Mean return, its deviation over training seeds, the normalized score and the success rate."""
    score = row.get("normalized_score")
    score = "" if score is None else f"score {score:.1f}; "
    success = ", ".join(text(row) for text in SUCCESS.values())
    return f"{row['return_mean']:.4g}{spread(row, '.3g')} ({score}success {success})"
