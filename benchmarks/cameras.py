"""How long videos take to be read once, and the memory that data with pictures needs: LeRobot data, and ten times it.

python -m benchmarks.cameras ../shared/data/g1 results/cameras.json
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ibc.device import provenance
from ibc.files import write_atomically

SIZE = [120, 160]
TIMES = 10
BATCHES = 20

#: In a process of its own, whose memory is that of nothing else.
PROGRAM = """
import json, resource, sys, time
import torch
from ibc.data.loading import load_dataset
from ibc.data.selection import Selection

torch.set_num_threads(1)
path, cache, size, batches = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

imported, start = peak_mb(), time.perf_counter()
dataset = load_dataset(path, selection=Selection(image_size=size, cache=cache))
loaded, seconds = peak_mb(), time.perf_counter() - start
start = time.perf_counter()
for step in range(batches):
    dataset.batch(torch.randint(len(dataset), (128,)))
print(json.dumps({
    "episodes": dataset.about["num_episodes"], "steps": len(dataset), "seconds": seconds,
    "imported_mb": imported, "loaded_mb": loaded, "peak_mb": peak_mb(),
    "batch_ms": 1000 * (time.perf_counter() - start) / batches,
}))
"""


def longer(path: Path, copy: Path, times: int) -> Path:
    """The same data set (version 2) so many times over; its videos are links."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    info = json.loads((path / "meta/info.json").read_text())
    count = info["total_episodes"]
    for old in (p for p in path.rglob("episode_*") if p.is_file()):
        number = int(old.stem.rpartition("_")[2])
        for new_number in range(number, times * count, count):
            new = copy / old.relative_to(path).with_name(f"episode_{new_number:06d}{old.suffix}")
            new.parent.mkdir(parents=True, exist_ok=True)
            if old.suffix != ".parquet":
                new.symlink_to(old.resolve())
                continue
            table = pq.read_table(old)
            column = pa.array([new_number] * len(table))
            index = table.column_names.index("episode_index")
            pq.write_table(table.set_column(index, "episode_index", column), new)
    (copy / "meta").mkdir()
    (copy / "meta/info.json").write_text(json.dumps({**info, "total_episodes": times * count}))
    return copy


def measure(path: Path, cache: Path) -> dict[str, float]:
    """Load a data set in a process; the pictures are read where ``cache`` does not have them."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(cache), json.dumps(SIZE), str(BATCHES)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return measured


def main(path: Path, output: Path) -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {}
        for times in (1, TIMES):
            data = path if times == 1 else longer(path, folder / "longer", times)
            rows[f"{times}x, first"] = measure(data, folder / "frames")
            rows[f"{times}x, again"] = measure(data, folder / "frames")
    content = {
        "command": f"python -m benchmarks.cameras {path} {output}",
        "image_size": SIZE,
        "rows": rows,
        "about": {**provenance(), "cores": os.cpu_count()},
    }
    write_atomically(output, (json.dumps(content, indent=1) + "\n").encode())
    for title, row in rows.items():
        print(title, {key: round(value, 1) for key, value in row.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
