"""Every pretrained policy, exported: whether it takes the same actions without torch, and how long a decision takes.

python -m benchmarks.robot.export pretrained results/export.json
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import benchmarks.envs  # noqa: F401  registers environments of pretrained policies
from benchmarks.results import ResultTable, Row
from ibc import Controller, UserError
from ibc.checkpoint import Checkpoint, load_checkpoint
from ibc.device import configure_device, provenance
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.export import export_onnx
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.loading import build_policy
from ibc.random import PerEpisodeRandom
from ibc.spec import NumpyObs
from ibc_client import ExportedPolicy, load_exported

#: Decisions that are compared, and steps of an episode between them.
DECISIONS, EVERY, FIRST_SEED = 50, 3, 500_000
#: The largest difference of an action that is the same: in the environment's units, and where half the range of the
#: data is above 1, in half-ranges.
SAME = 1e-4
CPU = torch.device("cpu")


class TorchRandom:
    """The random numbers that a policy draws in torch, in numpy."""

    def __init__(self, seed: int) -> None:
        self.source = PerEpisodeRandom([torch.Generator().manual_seed(seed)], CPU)

    def uniform(self, *shape: int) -> np.ndarray:
        """Draws from U[0, 1)."""
        return self.source.uniform(*shape).numpy()

    def normal(self, *shape: int) -> np.ndarray:
        """Draws from N(0, 1)."""
        return self.source.normal(*shape).numpy()


def windows(checkpoint: Checkpoint, policy: Policy, count: int) -> list[NumpyObs]:
    """What the policy sees in its own episodes, in which it stands at the start."""
    env = Environment(EnvConfig.from_mapping(checkpoint.config["env"]))
    controller = Controller(policy, num_execute_steps=checkpoint.config.get("num_execute_steps"))
    horizon = policy.spec.obs_horizon
    found: list[NumpyObs] = []
    seed = FIRST_SEED
    while len(found) < count:
        history = [env.reset(seed)] * horizon
        controller.reset(seed)
        for step in range(5 * EVERY):
            history = [*history, history[-1]][-horizon:] if step == 0 else history
            if step % EVERY == 0:
                found.append({n: np.stack([seen[n] for seen in history]) for n in policy.spec.obs})
            obs, *_, terminated, truncated = env.step(controller.step(history[-1]))
            history = [*history[1:], obs]
            if terminated or truncated:
                break
        seed += 1
    env.close()
    return found[:count]


def compare(policy: Policy, exported: ExportedPolicy, seen: list[NumpyObs]) -> Row:
    """Differences of actions by the same random numbers, and milliseconds of a decision."""
    spec = policy.spec
    half_range = policy.bounds.half_range.view(spec.action_horizon, -1).numpy()
    differences, of_range, torch_ms, onnx_ms = [], [], [], []
    for seed, window in enumerate(seen):
        batch = {name: torch.from_numpy(array[None]) for name, array in window.items()}
        start = time.perf_counter()
        expected = policy.act(batch, TorchRandom(seed).source)[0].numpy()
        between = time.perf_counter()
        action = exported.act(window, TorchRandom(seed))
        torch_ms.append(1e3 * (between - start))
        onnx_ms.append(1e3 * (time.perf_counter() - between))
        error = np.abs(action - expected)
        differences.append(float((error / np.maximum(half_range, 1)).max()))
        of_range.append(float((error / half_range).max()))
    return {
        "same": float(np.mean(np.array(differences) <= SAME)),
        "median_difference": float(np.median(differences)),
        "largest_difference": max(differences),
        "largest_of_range": max(of_range),
        "torch_ms": float(np.median(torch_ms)),
        "onnx_ms": float(np.median(onnx_ms)),
    }


def measure(path: Path, decisions: int) -> Row:
    """One policy, or the line that says why it cannot be exported."""
    checkpoint = load_checkpoint(path)
    policy = build_policy(checkpoint, CPU)
    kind = type(policy).__name__
    if isinstance(policy, ImplicitPolicy):
        kind = f"{type(policy.energy).__name__}, {type(policy.sampler).__name__}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "policy"
        try:
            export_onnx(policy, folder)
        except UserError as error:
            return {"kind": kind, "refused": str(error)}
        megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        row = compare(policy, load_exported(folder), windows(checkpoint, policy, decisions))
    return {"kind": kind, "megabytes": megabytes, "decisions": decisions, **row}


def main(folder: Path, output: Path, decisions: int = DECISIONS) -> None:
    """Measure each policy that the output does not have yet, print and write."""
    torch.set_num_threads(1)
    configure_device("cpu", "float32")
    paths = sorted(folder.glob("*.pt"))
    names = [path.stem for path in paths]
    command = f"python -m benchmarks.robot.export {folder} {output}"
    table = ResultTable(
        path=output,
        key=["exported"],
        order=lambda key: names.index(str(key[0])),
        head=lambda rows: {"command": command, "about": provenance()},
        accept=lambda result, row: row["exported"] in names,
    )
    for path in paths:
        row = table.fill({"exported": path.stem}, lambda path=path: measure(path, decisions))
        print({k: round(v, 7) if isinstance(v, float) else v for k, v in row.items()}, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
