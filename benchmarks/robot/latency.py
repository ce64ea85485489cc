"""Success and smoothness over the latency of a search, for four ways to deal with it.

python -m benchmarks.robot.latency results/latency.json docs/pictures/latency.png push_t=pretrained/push_t_states.pt:8

Each task is NAME=CHECKPOINT:STEPS, with the actions of a chunk that are executed, and :zero after it where a robot that
holds still is given zeros (set-points that are added to), and not its last action again. Latency is simulated in steps
of a tenth of a second, so that no result depends on the machine.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import benchmarks.envs  # noqa: F401
from benchmarks.results import ResultTable, Row
from ibc import AsynchronousController, evaluate
from ibc.checkpoint import load_checkpoint
from ibc.control.plan import WAYS
from ibc.data import Episode
from ibc.device import configure_device, provenance
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies.loading import build_policy

RATE, LATENCIES_MS = 10, (0, 100, 200, 300)
FIRST_SEED, EPISODES = 300_000, 100


@dataclass(frozen=True)
class Task:
    """A checkpoint, the actions of a chunk that are executed before the next one, and how a robot holds still.

    Attributes:
        text: as it was given.
    """

    text: str
    name: str
    checkpoint: Path
    num_execute_steps: int
    holds_by_zero: bool

    @classmethod
    def parse(cls, text: str) -> "Task":
        """Read NAME=CHECKPOINT:STEPS or NAME=CHECKPOINT:STEPS:zero."""
        name, _, rest = text.partition("=")
        holds_by_zero = rest.endswith(":zero")
        path, _, steps = rest.removesuffix(":zero").rpartition(":")
        return cls(text, name, Path(path), int(steps), holds_by_zero)


def jerk(episodes: Sequence[Episode], half_range: np.ndarray) -> float:
    """Root mean square of the third difference of actions, in half-ranges of the data."""
    thirds = [np.diff(episode.action / half_range, n=3, axis=0) for episode in episodes]
    return float(np.sqrt(np.mean(np.concatenate(thirds) ** 2)))


def measure(task: Task, way: str, latency_ms: int, num_episodes: int) -> Row:
    """Episodes on the same seeds for every way and latency."""
    checkpoint = load_checkpoint(task.checkpoint)
    policy = build_policy(checkpoint, torch.device("cpu"))
    controller = AsynchronousController(
        policy,
        rate=RATE,
        deadline_ms=latency_ms,
        way=way,
        num_execute_steps=None if way == "ensembled" else task.num_execute_steps,
        hold_action=np.zeros(policy.spec.action_dim) if task.holds_by_zero else None,
        simulated=True,
    )
    seeds = range(FIRST_SEED, FIRST_SEED + num_episodes)
    result = evaluate(controller, checkpoint.config["env"], seeds=seeds)
    controller.close()
    half_range = policy.bounds.half_range.view(policy.spec.action_horizon, -1)[0].numpy()
    metrics = result.metrics
    return {
        "success_rate": metrics["success_rate"],
        "success_rate_ci95": metrics["success_rate_ci95"],
        "report": metrics.get("report", {}),
        "jerk": jerk(result.episodes, half_range),
        "searches": len(controller.latencies),
    }


def picture(rows: Sequence[Row]) -> bytes:
    """A column for each task: success above, jerk below."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure, axes = style.panels(2, len(tasks), (4, 2.5), sharex=True)
    for column, task in zip(axes.T, tasks, strict=True):
        for way in WAYS:
            own = [row for row in rows if row["task"] == task and row["way"] == way]
            x = [row["latency_ms"] for row in own]
            column[0].plot(x, [100 * row["success_rate"] for row in own], marker="o", label=way)
            column[1].plot(x, [row["jerk"] for row in own], marker="o")
        column[0].set(title=task.replace("_", " "), ylim=(-3, 103))
        column[1].set(xlabel="latency (ms)", ylim=(0, None))
    axes[0, 0].set_ylabel("success (%)")
    axes[1, 0].set_ylabel("jerk (half-ranges per step³)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return png(figure)


def main(output: Path, image: Path, tasks: Sequence[Task], num_episodes: int = EPISODES) -> None:
    """Measure what the output does not have yet, print, write and draw."""
    torch.set_num_threads(1)
    configure_device("cpu", "float32")
    given = " ".join([*(task.text for task in tasks), str(num_episodes)])
    names = [task.name for task in tasks]
    table = ResultTable(
        path=output,
        key=["task", "way", "latency_ms"],
        order=lambda key: (names.index(str(key[0])), WAYS.index(str(key[1])), key[2]),
        head=lambda rows: {
            "command": f"python -m benchmarks.robot.latency {output} {image} {given}",
            "rate": RATE,
            "about": provenance(),
        },
        accept=lambda result, row: row["task"] in names,
    )
    for task in tasks:
        for way in WAYS:
            for latency_ms in LATENCIES_MS:
                wanted = {
                    "task": task.name,
                    "way": way,
                    "latency_ms": latency_ms,
                    "num_episodes": num_episodes,
                    "num_execute_steps": task.num_execute_steps,
                }
                row = table.fill(
                    wanted, lambda t=task, w=way, ms=latency_ms: measure(t, w, ms, num_episodes)
                )
                print(task.name, way, latency_ms, row["success_rate"], row["jerk"], flush=True)
    write_atomically(image, picture(table.rows))


if __name__ == "__main__":
    # The number of episodes may follow the tasks.
    count = [int(text) for text in sys.argv[3:] if "=" not in text]
    chosen = [Task.parse(text) for text in sys.argv[3:] if "=" in text]
    main(Path(sys.argv[1]), Path(sys.argv[2]), chosen, *count)
