"""Whether evaluations give the same actions for any number of environments and threads, and what that costs.

python -m benchmarks.reproducibility results/reproducibility.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import benchmarks.envs  # noqa: F401  registers environments of pretrained policies
from benchmarks.results import ResultTable, Row, column_table
from ibc import Controller
from ibc.checkpoint import load_checkpoint
from ibc.data import Episode
from ibc.device import provenance
from ibc.evaluation import evaluate
from ibc.policies.loading import build_policy

POLICIES = (
    "particle_2d", "particle_16d", "particle_8d_autoregressive", "block_push_states", "block_push_multimodal_info_nce",
    "block_sort_states", "planar_sweep_state", "planar_sweep_image", "push_t_states", "door_human",
)  # fmt: skip
#: First steps of episodes that are compared, and their seeds.
STEPS, SEEDS = 20, range(400_000, 400_025)
#: Environments at once, and threads of the process; the first is what the others are compared with.
SETTINGS = ((1, 1), (3, 1), (25, 1), (25, 2))


def measure(name: str) -> Row:
    """Episodes of one policy in every setting, decided one by one and together."""
    checkpoint = load_checkpoint(Path("pretrained") / f"{name}.pt")
    policy = build_policy(checkpoint, torch.device("cpu"))
    env = {**checkpoint.config["env"], "max_episode_steps": STEPS}
    half_range = policy.bounds.half_range.view(policy.spec.action_horizon, -1)[0].numpy()
    row: Row = {"steps": STEPS, "episodes": len(SEEDS)}
    for exact in (True, False):
        found, seconds = [], []
        for num_envs, threads in SETTINGS:
            torch.set_num_threads(threads)
            controller = Controller(policy, exact=exact)
            found.append(evaluate(controller, env, seeds=SEEDS, num_envs=num_envs).episodes)
            seconds.append(sum(controller.latencies) / sum(len(e) for e in found[-1]))
        key = "exact" if exact else "together"
        row[f"{key}_different"] = max(different(found[0], other) for other in found[1:])
        row[f"{key}_largest"] = max(largest(found[0], other, half_range) for other in found[1:])
        row[f"{key}_ms"] = 1e3 * seconds[2]
    torch.set_num_threads(1)
    return row


def different(first: Sequence[Episode], second: Sequence[Episode]) -> int:
    """How many episodes differ in any bit of an action, or in success."""
    return sum(
        not (np.array_equal(a.action, b.action) and np.array_equal(a.success, b.success))
        for a, b in zip(first, second, strict=True)
    )


def largest(first: Sequence[Episode], second: Sequence[Episode], half_range: np.ndarray) -> float:
    """The largest difference of an action at the same step, in half-ranges of the data."""
    return max(
        float((np.abs(a.action[:n] - b.action[:n]) / half_range).max())
        for a, b in zip(first, second, strict=True)
        for n in (min(len(a), len(b)),)
    )


def reproducibility_table(result: Row) -> list[str]:
    """Markdown lines: a row a policy."""
    columns = {
        "policy": lambda row: row["policy"],
        "exact: episodes that differ": lambda row: f"{row['exact_different']} of {row['episodes']}",
        "together: episodes that differ": lambda row: (
            f"{row['together_different']} of {row['episodes']}"
        ),
        "largest difference": lambda row: f"{row['together_largest']:.1e}",
        "exact, ms a step": lambda row: f"{row['exact_ms']:.2f}",
        "together, ms a step": lambda row: f"{row['together_ms']:.2f}",
        "cost": lambda row: f"{row['exact_ms'] / row['together_ms']:.1f}",
    }
    return [*column_table(columns, result["rows"]), "", f"`{result['command']}`", ""]


def main(output: str) -> None:
    """Measure each policy that the output does not have yet, print and write."""
    table = ResultTable(
        path=Path(output),
        key=["policy"],
        order=lambda key: POLICIES.index(str(key[0])),
        head=lambda rows: {
            "command": f"python -m benchmarks.reproducibility {output}",
            "about": provenance(),
        },
    )
    for name in POLICIES:
        print(table.fill({"policy": name}, lambda name=name: measure(name)), flush=True)
    print("\n".join(reproducibility_table({"command": "", "rows": table.rows})))


if __name__ == "__main__":
    main(*sys.argv[1:])
