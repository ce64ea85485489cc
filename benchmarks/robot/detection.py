"""How well scores of decisions tell failures from successes, and changed scenes from known ones.

python -m benchmarks.robot.detection results/detection.json docs/pictures/detection.png [TASK ...]

Failures are those that a policy makes by itself. Detectors are calibrated twice: on demonstrations, and on the
policy's own successes on other seeds. Where a policy decides on one action at a time, every third decision is judged.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import benchmarks.envs  # noqa: F401
from benchmarks.intervals import rate
from benchmarks.results import ResultTable, Row
from ibc import collect_demonstrations, evaluate
from ibc.checkpoint import Checkpoint, load_checkpoint
from ibc.data import Episode
from ibc.data.loading import find_data, load_episodes
from ibc.data.selection import Selection
from ibc.detection import (
    Committee,
    DenoisingError,
    Disagreement,
    Elapsed,
    ExpectedDuration,
    GradientResidual,
    Mahalanobis,
    NearestNeighbors,
    RunnerUp,
    Score,
)
from ibc.detection.calibration import decisions_of, fit, score_decisions, statistics
from ibc.detection.detector import conformal_threshold, running_mean, standardized
from ibc.device import configure_device, provenance
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation import style
from ibc.evaluation.metrics import is_success
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies import Policy
from ibc.policies.loading import build_policy

FALSE_ALARMS, WINDOW = 0.05, 3
FIRST_SEED, CALIBRATION_SEED = 100_000, 300_000
SHIFTED_EPISODES, CALIBRATION_EPISODES = 50, 100
#: Decisions from one that is judged to the next, where chunks have one action.
JUDGED = 3
#: Rates of false alarms for which the picture has a point.
RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
#: Panels of the picture beside one another.
COLUMNS = 4
Scores = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class Task:
    """A checkpoint of ``pretrained/``, and what differs in its changed scenes (:mod:`benchmarks.envs.shifted`).

    Attributes:
        changes: what differs, one thing at a time, and by how much.
        num_episodes: in known scenes.
        committee: checkpoints of the same task.
        num_own: episodes whose successes are calibrated on; more where fewer succeed.
    """

    changes: Mapping[str, float]
    num_episodes: int = 100
    committee: Sequence[str] = ()
    num_own: int = CALIBRATION_EPISODES


TASKS = {
    "push_t_states": Task({"delay": 3}, num_own=200),
    "block_push_multimodal_info_nce": Task({"goal": 0.15}),
    "door_human": Task({"hinge": 8.0}, committee=["pretrained/d4rl_door-human.pt"]),
    "particle_2d": Task({"goal": 0.5}, num_episodes=200),
    "block_push_states": Task({"mass": 30.0, "friction": 0.1}),
    "block_push_pixels": Task({"camera": 0.05, "object": 1}),
}
#: Several scores together, by what they are called.
TOGETHER = {
    "energy": ("GradientResidual", "DenoisingError", "RunnerUp", "Disagreement"),
    "features": ("NearestNeighbors", "Mahalanobis"),
}
TOGETHER["energy and features"] = TOGETHER["energy"] + TOGETHER["features"]
TOGETHER["all and duration"] = (*TOGETHER["energy and features"], "ExpectedDuration")
#: What the picture shows, with its color and line.
DRAWN = {
    "energy": (style.BLUE, "-"),
    "features": (style.VERMILION, "-"),
    "energy and features": (style.GREEN, "-"),
    "ExpectedDuration": (style.PURPLE, "-"),
    "Elapsed": (style.GRAY, ":"),
}


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """The chance that one of ``positive`` is above one of ``negative``, ties half; None where there is none."""
    if not len(positive) or not len(negative):
        return None
    difference = np.subtract.outer(np.asarray(positive), np.asarray(negative))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def shifted_env(env: Mapping[str, Any], shift: str, size: float) -> dict[str, Any]:
    """The environment with what differs."""
    inner = {name: value for name, value in env.items() if name not in ("expert", "demo_overrides")}
    return {**inner, "id": "Shifted-v0", "env_id": inner["id"], "shift": shift, "size": size}


def demonstrations(checkpoint: Checkpoint, folder: Path) -> list[Episode]:
    """Demonstrations of an expert on seeds that training had not, or those of people; none if they are too few."""
    env, data = checkpoint.config["env"], checkpoint.config["data"]
    selection = Selection(obs_names=list(checkpoint.spec.obs))
    if env.get("expert") is None:
        found = load_episodes(
            find_data(Path(data["path"]), ["../shared/data/pusht", "../shared/data"]), selection
        )
        return found[:CALIBRATION_EPISODES] if len(found) >= CALIBRATION_EPISODES else []
    collect_demonstrations(
        env, folder / "demos", num_episodes=CALIBRATION_EPISODES, first_seed=CALIBRATION_SEED
    )
    return load_episodes(folder / "demos", selection)


def measure(name: str, task: Task, changes: Mapping[str, float]) -> list[Row]:
    """Run the episodes of a task and some of its changes, and judge them by every score and calibration."""
    checkpoint = load_checkpoint(Path(f"pretrained/{name}.pt"))
    policy = build_policy(checkpoint, torch.device("cpu"))
    env = checkpoint.config["env"]
    steps = checkpoint.config.get("num_execute_steps")
    groups: dict[str, list[Episode]] = {}
    for group, where, first, count in (
        ("nominal", env, FIRST_SEED, task.num_episodes),
        ("own successes", env, CALIBRATION_SEED, task.num_own),
        *((c, shifted_env(env, c, changes[c]), FIRST_SEED, SHIFTED_EPISODES) for c in changes),
    ):
        seeds = range(first, first + count)
        result = evaluate(policy, where, seeds=seeds, num_envs=50, num_execute_steps=steps)
        groups[group] = list(result.episodes)
    solved = [is_success(e, env["success_when"]) for e in groups["nominal"]]
    groups["own successes"] = [
        e for e in groups["own successes"] if is_success(e, env["success_when"])
    ]
    groups["failures"] = [e for e, good in zip(groups["nominal"], solved, strict=True) if not good]
    groups["successes"] = [e for e, good in zip(groups.pop("nominal"), solved, strict=True) if good]
    with tempfile.TemporaryDirectory() as folder:
        shown = demonstrations(checkpoint, Path(folder))
        if shown:
            groups["demonstrations"] = shown
        rows = judged(policy, groups, task.committee, changes, _rhythm(checkpoint))
    solved = {c: [is_success(e, env["success_when"]) for e in groups[c]] for c in changes}
    return [{**row, "success_shifted": float(np.mean(solved[row["shift"]]))} for row in rows]


def _rhythm(checkpoint: Checkpoint) -> tuple[int, float]:
    """Steps from one judged decision to the next, and steps in a second."""
    every = checkpoint.config.get("num_execute_steps") or checkpoint.spec.action_horizon
    made = Environment(EnvConfig.from_mapping(checkpoint.config["env"]))
    made.close()
    return (JUDGED if every == 1 else every), made.fps


def judged(
    policy: Policy,
    groups: Mapping[str, Sequence[Episode]],
    committee: Sequence[str],
    changes: Mapping[str, float],
    rhythm: tuple[int, float],
) -> list[Row]:
    """A row for each change, calibration and score, and each set of scores."""
    every, fps = rhythm
    scores: list[Score] = [GradientResidual(), DenoisingError(), RunnerUp(), Disagreement()]
    scores += [NearestNeighbors(), Mahalanobis(), ExpectedDuration(), Elapsed()]
    scores += [Committee(list(committee))] if committee else []
    names = [type(score).__name__ for score in scores]
    decisions = {
        group: [decisions_of(policy, episode, every) for episode in episodes]
        for group, episodes in groups.items()
    }
    left = [
        (len(episode.action) - np.arange(0, len(episode.action), every)) / fps
        for episode in groups["failures"]
    ]
    rows = []
    fixed: dict[str, list[NDArray[np.float64]]] = {}
    free = [i for i, score in enumerate(scores) if not score.fitted]
    for group, parts in decisions.items():
        fixed[group] = [score_decisions([scores[i] for i in free], one) for one in parts]
    bound = [i for i, score in enumerate(scores) if score.fitted]
    for calibration in ("demonstrations", "own successes"):
        if calibration not in groups:
            continue
        fit(scores, decisions[calibration][::2])
        measured: dict[str, Scores] = {}
        for group, parts in decisions.items():
            measured[group] = [
                np.concatenate([known, score_decisions([scores[i] for i in bound], one)], 1)[
                    :, np.argsort(free + bound)
                ]
                for known, one in zip(fixed[group], parts, strict=True)
            ]
        titles = {**{name: (name,) for name in names}, **TOGETHER}
        for shift, (title, members) in product(changes, titles.items()):
            columns = [names.index(member) for member in members]
            seen = {**measured, "shifted": measured[shift]}
            row = outcome([scores[i] for i in columns], columns, seen, calibration, left)
            about = {"shift": shift, "size": changes[shift], "calibration": calibration}
            rows.append({**about, "score": title, **row})
    return rows


def outcome(
    scores: Sequence[Score],
    columns: Sequence[int],
    measured: Mapping[str, Scores],
    calibration: str,
    left: Scores,
) -> Row:
    """What a detector of some scores finds; ``left`` has the seconds from each decision to the end of each failure."""
    own = {group: [one[:, columns] for one in every] for group, every in measured.items()}
    center, scale = statistics(scores, own[calibration][::2])
    values = {
        group: [
            running_mean(standardized(one, np.arange(len(one)), center, scale), WINDOW)
            for one in every
        ]
        for group, every in own.items()
    }
    held_out = np.array([one.max() for one in values[calibration][1::2]])
    good, bad, changed = (values[group] for group in ("successes", "failures", "shifted"))
    usual = int(np.median([len(one) for one in good]))
    threshold = conformal_threshold(held_out, FALSE_ALARMS)
    flagged = [one for one in bad if one.max() > threshold]
    warnings = [
        float(seconds[one > threshold].max(initial=0.0))
        for one, seconds in zip(bad, left, strict=True)
    ]
    curve = []
    for wanted in RATES:
        at = conformal_threshold(held_out, wanted)
        curve.append(
            [
                float(np.mean([one.max() > at for one in good])),
                in_time(bad, left, at),
                float(np.mean([one.max() > at for one in changed])),
            ]
        )
    alarms = rate("false_alarm", int(sum(one.max() > threshold for one in good)), len(good))
    early = sum(seconds >= 1 for seconds in warnings)
    early_rate = rate("early", early, len(bad)) if bad else {}
    return {
        **{k: v for k, v in (alarms | early_rate).items() if k != "num_episodes"},
        "num_calibration": len(held_out),
        "num_successes": len(good),
        "num_failures": len(bad),
        "auroc_failures": auroc([one.max() for one in bad], [one.max() for one in good]),
        "auroc_same_length": auroc(
            [one[:usual].max() for one in bad], [one[:usual].max() for one in good]
        ),
        "auroc_shifted": auroc(
            [one.max() for one in changed], [one.max() for one in [*good, *bad]]
        ),
        "auroc_shifted_same_length": auroc(
            [one[:usual].max() for one in changed], [one[:usual].max() for one in [*good, *bad]]
        ),
        "flagged_shifted_same_length": float(
            np.mean([one[:usual].max() > threshold for one in changed])
        ),
        "flagged_failures": len(flagged) / len(bad) if bad else None,
        "flagged_shifted": float(np.mean([one.max() > threshold for one in changed])),
        "warning_s": float(np.median([w for w in warnings if w])) if flagged else None,
        "curve": curve,
    }


def in_time(bad: Scores, left: Scores, threshold: float) -> float | None:
    """The share of failures with an average above a threshold at least one second before their end."""
    if not len(bad):
        return None
    early = [(one[seconds >= 1] > threshold).any() for one, seconds in zip(bad, left, strict=True)]
    return float(np.mean(early))


def picture(rows: Sequence[Row]) -> bytes:
    """Failures of each task that are flagged in time, then each changed scene, over false alarms."""
    scenes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["calibration"] == "own successes":
            task = row["task"].removesuffix("_states").replace("_", " ")
            scenes.setdefault((task, f"{row['shift']} {row['size']:g}"), []).append(row)
    known: dict[str, list[Row]] = {}
    for (task, _), own in scenes.items():
        if own[0]["num_failures"]:
            known.setdefault(task, own)
    above = -(-len(known) // COLUMNS)
    height = above - (-len(scenes) // COLUMNS)
    figure, axes = style.panels(height, COLUMNS, (2.9, 2.4), sharex=True, sharey=True)
    for axis, (task, own) in zip(axes[:above].flat, known.items(), strict=False):
        draw(axis, own, 1, task)
    for axis, ((task, change), own) in zip(axes[above:].flat, scenes.items(), strict=False):
        draw(axis, own, 2, f"{task}: {change}")
    for axis in axes.flat:
        axis.set(xlim=(-2, 60), ylim=(-3, 103))
        axis.set_axis_off() if not axis.lines else axis.tick_params(labelbottom=True)
    for line, axis in enumerate(axes[:, 0]):
        what = "failures flagged\n1 s before the end" if line < above else "changed scenes\nflagged"
        axis.set_ylabel(f"{what} (%)")
    for axis in axes[-1]:
        axis.set_xlabel("false alarms (%)")
    handles, labels = axes[above, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return png(figure)


def draw(axis: Any, rows: Sequence[Row], number: int, title: str) -> None:
    """Lines of the scores in ``DRAWN``, by an entry of their curves, over the rate of false alarms."""
    for name, (color, line) in DRAWN.items():
        (row,) = [row for row in rows if row["score"] == name]
        curve = 100 * np.array(row["curve"], dtype=float)
        x, y = curve[:, 0], curve[:, number]
        axis.plot(x, y, line, color=color, marker="o", markersize=3, label=name)
    axis.axvline(100 * FALSE_ALARMS, color=style.GRAY, linewidth=0.8, alpha=0.5)
    axis.set_title(title, fontsize=9)


def main(output: Path, image: Path, tasks: Sequence[str] = tuple(TASKS)) -> None:
    """Measure the tasks that the output does not have yet, print, write and draw."""
    torch.set_num_threads(1)
    configure_device("cpu", "float32")
    order = [(name, shift) for name, task in TASKS.items() for shift in task.changes]
    table = ResultTable(
        path=output,
        key=["task", "shift", "calibration", "score"],
        order=lambda key: (
            order.index((str(key[0]), str(key[1]))),
            str(key[2]) != "demonstrations",
        ),
        head=lambda rows: {
            "command": f"python -m benchmarks.robot.detection {output} {image}",
            "false_alarms": FALSE_ALARMS,
            "window": WINDOW,
            "about": provenance(),
        },
    )
    for name in tasks:
        found = {row["shift"] for row in table.rows if row["task"] == name}
        wanted = {c: size for c, size in TASKS[name].changes.items() if c not in found}
        if not wanted:
            print(f"{name}: read from {output}")
            continue
        table.add(*({"task": name, **row} for row in measure(name, TASKS[name], wanted)))
        print(name, *wanted, "measured", flush=True)
    write_atomically(image, picture(table.rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *([sys.argv[3:]] if sys.argv[3:] else []))
