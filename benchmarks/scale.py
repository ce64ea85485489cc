"""What training on a million episodes of pictures takes, computed from rates in ``results/``.

python -m benchmarks.scale results/scale.json
"""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import Row, column_table, read_result
from ibc.evaluation.evaluate import write_json

#: Of the planned data and training: episodes, epochs, bytes of a step's low-dimensional numbers.
EPISODES, EPOCHS, BYTES_OF_NUMBERS = 1_000_000, 10, 300
#: Gradient steps a second on pictures in the memory of an H200, and windows in a batch (docs/performance.md).
GPU_STEPS, BATCH = 370, 128
#: Bytes of one step in the index of a data set with two observations and one action: places, marks, keyframes.
BYTES_OF_INDEX = 60
#: Pictures in a GPU's memory at most: half of 141 GB.
GPU_BYTES = 70e9
#: Weights of the pushing policy for pictures: what processes exchange at each step.
WEIGHTS = 2.0e6
HOUR, TERA, GIGA = 3600.0, 1e12, 1e9


def scale(results: Path) -> Row:
    """Rows of the plan: what is measured, and what follows for the planned data."""
    cameras = read_result(results / "cameras.json")
    first, again = cameras["rows"]["10x, first"], cameras["rows"]["10x, again"]
    height, width = cameras["image_size"]
    picture = 3 * height * width
    steps = EPISODES * first["steps"] / first["episodes"]
    decode = first["steps"] / first["seconds"]
    gather = BATCH / (again["batch_ms"] / 1e3)
    train = GPU_STEPS * BATCH
    rows = [
        row("decode videos once", f"{decode:.0f} steps/s a core", f"{steps / decode / HOUR:.0f} core hours"),
        row("keep pictures", f"{picture / 1e3:.0f} kB a picture", f"{steps * picture / TERA:.1f} TB of disk"),
        row("keep numbers", f"{BYTES_OF_NUMBERS} B a step", f"{steps * BYTES_OF_NUMBERS / GIGA:.0f} GB of memory a process"),
        row("index of windows", f"{BYTES_OF_INDEX} B a step", f"{steps * BYTES_OF_INDEX / GIGA:.0f} GB of memory a process"),
        row("gather batches", f"{gather:.0f} windows/s a core", f"{EPOCHS * steps / gather / HOUR:.0f} core hours"),
        row("gradient steps", f"{train:.0f} windows/s a GPU", f"{EPOCHS * steps / train / HOUR:.0f} GPU hours"),
        row("cores that feed one GPU", f"{gather:.0f} of {train:.0f} windows/s", f"{train / gather:.0f} cores"),
        row("reading for one GPU", f"{train:.0f} windows/s", f"{train * picture / GIGA:.1f} GB/s from disk"),
        row("exchange of gradients", f"{WEIGHTS / 1e6:.0f} MB a step", f"{GPU_STEPS * WEIGHTS / GIGA:.1f} GB/s a GPU"),
        row("pictures on one GPU", f"{GPU_BYTES / GIGA:.0f} GB", f"{GPU_BYTES / picture / steps:.2%} of the data"),
    ]  # fmt: skip
    return {
        "command": "python -m benchmarks.scale results/scale.json",
        "plan": {"episodes": EPISODES, "steps": round(steps), "epochs": EPOCHS},
        "rows": rows,
        "about": cameras["about"],
    }


def row(what: str, rate: str, total: str) -> Row:
    """A line of the plan."""
    return {"what": what, "rate": rate, "total": total}


#: Columns of the table.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "what": lambda row: row["what"],
    "rate": lambda row: row["rate"],
    "in all": lambda row: row["total"],
}


def scale_table(result: Row) -> list[str]:
    """Markdown lines of the plan."""
    plan = result["plan"]
    text = f"`{result['command']}`: {plan['episodes']:,} episodes, {plan['steps']:,} steps, {plan['epochs']} epochs."
    return [*column_table(COLUMNS, result["rows"]), "", text, ""]


if __name__ == "__main__":
    output = Path(sys.argv[1])
    write_json(output, scale(Path("results")))
    print(f"file: {output}")
