"""Hostile checkpoints: every entry replaced by what does not belong there, odd weights, names of other code."""

import contextlib
import copy
import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.attempt import Outcome, attempt
from ibc.checkpoint import digest

#: Put in place of every entry.
ODD = (None, [], {}, "x", "a\nb\x1b[31m", -1, 2.5, 10**12, float("nan"), True)
#: Put in place of entries that say how a policy was trained, which nothing that acts reads.
FEW = (None, [], 10**12)
ACTING = (
    "policy",
    "spec",
    "env",
    "name",
    "policy_name",
    "task",
    "num_execute_steps",
    "format_version",
    "digest",
)
#: Names of code that a file may not call; the file ``pwned`` says that one was called.
CODE = (
    {"_target_": "os.system", "command": "touch pwned"},
    {"_target_": "subprocess.run", "args": ["touch", "pwned"]},
    {"_target_": "builtins.eval", "_args_": ["open('pwned', 'w')"]},
    {"_target_": "ibc.files.write_atomically", "path": "pwned", "content": "x"},
    {"_target_": "ibc.policies.base.torch.load", "f": "x"},
    {"_target_": "functools.partial", "_args_": [1]},
    {"_target_": "ibc.policies.Policy.__init__.__globals__"},
    {"_target_": "ibc.policies.Policy.__subclasses__"},
    {"_target_": "ibc.policies..x"},
    {"_target_": ""},
    {"_target_": "ibc_envs.particle.ParticleEnv"},
    {"_target_": "torch.optim.Adam", "params": [1]},
    {"_target_": "ibc.samplers.DFO", "_args_": [{"_target_": "os.system", "command": "touch pwned"}]},
    {"_target_": "ibc.samplers.DFO", "num_candidates": 10**9},
    {"_target_": "ibc.samplers.DFO", "num_iterations": 10**12},
)  # fmt: skip
ENVIRONMENTS = (
    {"id": "pwn:Particle-v0"},
    {"id": "GymV26Environment-v0", "env_id": "pwn:x"},
    {"id": "Ant-v5", "xml_file": "/etc/passwd"},
    {"id": "Particle-v0", "n_dim": 10**8},
    {"id": "Particle-v0", "n_dim": 2, "max_episode_steps": 10**12},
    {"id": "Particle-v0", "n_dim": 2, "additional_wrappers": [1]},
    {"id": "Particle-v0", "n_dim": 2, "evil": 1},
)

Tensor = torch.Tensor
WEIGHTS: Mapping[str, Callable[[Tensor], Any]] = {
    "sparse": lambda t: torch.zeros(3, 3).to_sparse(),
    "without data": lambda t: torch.empty(3, device="meta"),
    "complex": lambda t: t.to(torch.complex64),
    "NaN": lambda t: t * float("nan"),
    "text": lambda t: "x",
    "number": lambda t: 5,
    "another shape": lambda t: torch.zeros(7),
    "boolean": lambda t: torch.zeros(4, dtype=torch.bool),
    "expanded": lambda t: torch.zeros(1).expand(10**12),
    "quantized": lambda t: torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.quint8),
}


class _Call:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch pwned",)


def hostile_checkpoints(
    made: Path, train: Sequence[str], folder: Path
) -> Iterator[tuple[str, Outcome]]:
    """Evaluate, or continue, each of them; ``made`` is a run folder that the overrides ``train`` have made."""
    good = torch.load(made / "checkpoint.pt", weights_only=True)
    (folder / "pwn.py").write_text("open('pwned', 'w')\n")
    for name, content in _cases(good):
        path = folder / "checkpoint.pt"
        path.write_bytes(content)
        outcome = attempt(
            ["evaluate", f"checkpoint={path}", "num_episodes=1", "output=evaluation.json"], folder
        )
        if (folder / "pwned").exists():
            outcome = Outcome("code was run", outcome.line, outcome.seconds)
            (folder / "pwned").unlink()
        yield name, outcome
    resumed = folder / "run"
    for name, raw in _changed(good, ("trainer",)):
        shutil.copytree(made, resumed, dirs_exist_ok=True)
        (resumed / "checkpoint.pt").write_bytes(_saved(raw))
        more = int(good["trainer"]["step"]) + 1
        yield (
            f"resume, {name}",
            attempt(
                ["train", *train, "resume=true", f"trainer.num_steps={more}", f"run_dir={resumed}"],
                folder,
            ),
        )


def _cases(good: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    parts = ("policy", "spec", "config", "about", "format_version", "digest")
    for name, raw in _changed(good, parts):
        yield name, _saved(raw)
    last = sorted(good["weights"])[-1]
    for name, make in WEIGHTS.items():
        raw = copy.deepcopy(dict(good))
        raw["weights"][last] = make(raw["weights"][last])
        with contextlib.suppress(RuntimeError, NotImplementedError, TypeError):
            raw["digest"] = digest(raw["weights"])
        yield f"weight: {name}", _saved(raw)
    for target in CODE:
        raw = copy.deepcopy(dict(good))
        raw["policy"]["sampler"] = target
        yield f"code: {target['_target_']}", _saved(raw)
    for env in ENVIRONMENTS:
        raw = copy.deepcopy(dict(good))
        raw["config"]["env"] = {**raw["config"]["env"], **env}
        yield f"environment: {env['id']}", _saved(raw)
    content = _saved(good)
    yield "empty", b""
    yield "text", b"hello\n" * 100
    yield "pickle", pickle.dumps(_Call())
    yield "pickle in an archive", _saved({"a": _Call()})
    yield "archive that expands", _expanding(content)
    for part in range(1, 20):
        yield f"cut at {part}/20", content[: part * len(content) // 20]


def _changed(good: Mapping[str, Any], parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Each entry of some parts replaced by odd values, and left out."""
    for part in parts:
        for place in _places(good[part], (part,)):
            acts = any(name in ACTING for name in place[:2])
            for value in (*(ODD if acts else FEW), ...):
                raw = copy.deepcopy(dict(good))
                node: Any = raw
                for key in place[:-1]:
                    node = node[key]
                if value is ...:
                    del node[place[-1]]
                else:
                    node[place[-1]] = value
                yield f"{'.'.join(map(str, place))} = {'nothing' if value is ... else value!r}", raw


def _places(node: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _places(child, (*place, key))


def _saved(raw: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(raw, buffer)
    return buffer.getvalue()


def _expanding(content: bytes) -> bytes:
    """The archive with a gigabyte of zeros, which take a megabyte, in place of a weight."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for entry in source.infolist():
            is_weight = entry.filename.endswith("data/0")
            target.writestr(entry.filename, bytes(2**30) if is_weight else source.read(entry))
    return out.getvalue()
