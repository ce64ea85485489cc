"""Which measure on held-out demonstrations predicts success in closed loop: rank correlations over checkpoints.

python -m benchmarks.predictors results/predictors.json docs/pictures/predictors.png
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.results import Row, markdown
from benchmarks.runs import run
from ibc.device import provenance
from ibc.evaluation.evaluate import write_json
from ibc.evaluation.plots import png
from ibc.evaluation.style import BLUE, GREEN, ORANGE, legend, panels
from ibc.files import write_atomically
from ibc.training.loggers import read_metrics

#: Few demonstrations, so that a policy can be trained for too long.
TASKS = {
    "particle_2d": ["experiment=particle_2d", "data.path=data/particle_200"],
    "block_push": ["experiment=block_push_states", "data.path=data/block_push_200"],
    "planar_sweep": ["experiment=planar_sweep_state", "data.path=data/planar_sweep_50"],
}
NUM_DEMONSTRATIONS = {"particle_2d": 200, "block_push": 200, "planar_sweep": 50}
POLICIES = ["implicit_unimodal", "implicit_info_nce", "mse"]
SUCCESS = "closed_loop/success_rate"
#: Measures, and the sign of a correlation with success that is right.
MEASURES = {"held_out/loss": -1, "held_out/action_error": -1, "held_out/rank": -1, "step": 1}
#: Names of measures on the axes, and what they are multiplied by.
LABELS = {
    "held_out/loss": ("held-out loss", 1),
    "held_out/action_error": ("held-out action error (action units)", 1),
    "held_out/rank": ("random actions with less energy (%)", 100),
}
STEPS, EVERY, EPISODES = 3000, 150, 50


def checkpoints(task: str, policy: str) -> list[Row]:
    """The measures of one run at each of its checkpoints."""
    settings = [
        f"policy={policy}", f"name=predictors_{task}", f"data.num_episodes={NUM_DEMONSTRATIONS[task]}", "data.holdout=0.1",
        f"trainer.num_steps={STEPS}", "trainer.batch_size=256", f"validation.every={EVERY}",
        f"validation.closed_loop={EPISODES}", "evaluation.num_episodes=25",
    ]  # fmt: skip
    folder, _ = run([*TASKS[task], *settings])
    rows = [row for row in read_metrics(folder) if SUCCESS in row]
    names = [*MEASURES, SUCCESS]
    return [
        {"task": task, "policy": policy, **{name: row[name] for name in names if name in row}}
        for row in rows
    ]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, equal values having the mean of theirs."""
    ranks = []
    for values in (first, second):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(rows: Sequence[Row]) -> list[Row]:
    """Spearman's rank correlation of each measure with success, for each run; None where success never changes."""
    found = []
    for task in TASKS:
        for policy in POLICIES:
            own = [row for row in rows if row["task"] == task and row["policy"] == policy]
            success = [row[SUCCESS] for row in own]
            values = {
                name: (
                    rank_correlation([row[name] for row in own], success)
                    if len(set(success)) > 1 and len({row[name] for row in own}) > 1
                    else None
                )
                for name in MEASURES
                if own and name in own[0]
            }
            found.append({"task": task, "policy": policy, "correlation": values})
    return found


def picture(rows: Sequence[Row]) -> Figure:
    """Success over each measure: a column a measure, a row a task, a point a checkpoint."""
    figure, grid = panels(len(TASKS), len(LABELS), (3.2, 2.4), sharey=True)
    for line, task in zip(grid, TASKS, strict=True):
        for axes, (measure, (label, factor)) in zip(line, LABELS.items(), strict=True):
            for policy, color in zip(POLICIES, (BLUE, ORANGE, GREEN), strict=True):
                own = [
                    row
                    for row in rows
                    if row["task"] == task and row["policy"] == policy and measure in row
                ]
                x = [factor * row[measure] for row in own]
                y = [100 * row[SUCCESS] for row in own]
                axes.scatter(x, y, s=12, color=color, label=policy)
            axes.set_xlabel(label)
            if measure == "held_out/loss":
                axes.set_xscale("log")
            else:
                axes.set_xlim(left=0)
        line[0].set_ylabel(f"{task.replace('_', ' ')}\nsuccess (%)")
    legend(grid[0, 0])
    return figure


def predictor_table(result: Row) -> list[str]:
    """Markdown lines: a row a run, a column a measure; negative where a smaller value goes with more success."""
    names = list(MEASURES)
    lines = [
        [
            row["task"].replace("_", " "),
            row["policy"],
            *(
                f"{value:+.2f}" if (value := row["correlation"].get(name)) is not None else ""
                for name in names
            ),
        ]
        for row in result["correlations"]
    ]
    head = ["task", "policy", *(name.rpartition("/")[2].replace("_", " ") for name in names)]
    return [*markdown(head, lines), "", f"`{result['command']}`", ""]


def main(output: str, image: str) -> None:
    """Train all runs, or read those that are finished, and write the result and the picture."""
    about = provenance()
    rows = [row for task in TASKS for policy in POLICIES for row in checkpoints(task, policy)]
    result = {
        "command": f"python -m benchmarks.predictors {output} {image}",
        "correlations": correlations(rows),
        "rows": rows,
        "about": about,
    }
    write_json(Path(output), result)
    write_atomically(Path(image), png(picture(rows)))
    print("\n".join(predictor_table(result)))
    print(f"files: {output}  {image}")


if __name__ == "__main__":
    main(*sys.argv[1:])
