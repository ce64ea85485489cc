"""The machine: its device, its memory allocator, and what to note of it beside a result."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ibc.errors import UserError

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

#: What ``precision=`` may be.
PRECISIONS = ("auto", "float32", "bfloat16")
#: Linux's names of the instructions that multiply bfloat16.
_FAST_BFLOAT16 = {"amx_bf16", "avx512_bf16"}
_reduced: torch.dtype | None = None


def keep_freed_memory() -> None:
    """Tell the C allocator to keep what is freed: fresh pages cost more than the arithmetic done in them.

    Large tensors come and go at every step; glibc would return their pages to the system and fault them in anew. Does
    nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 256 << 20)


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU where there is one.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device={name} cannot be used here; try auto, cpu or cuda") from error
    return device


def configure_device(device_name: str, precision: str) -> torch.device:
    """Prepare this process for training or acting, once, before anything large is allocated.

    Args:
        device_name: see :func:`choose_device`.
        precision: ``auto`` takes bfloat16 where the processor has instructions for it, and float32 where not.

    Raises:
        UserError: no such device or precision.
    """
    global _reduced  # noqa: PLW0603  as torch's own precision settings: a property of the process
    keep_freed_memory()
    device = choose_device(device_name)
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}; allowed: {', '.join(PRECISIONS)}")
    wanted = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device))
    _reduced = torch.bfloat16 if wanted else None
    if device.type == "cuda" and precision != "float32":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are a multiple faster than float32 ones there."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and not _FAST_BFLOAT16.isdisjoint(_cpuinfo("flags").split())


def reduced_precision() -> torch.dtype | None:
    """The dtype for arithmetic that need not be exact; None without one, or before :func:`configure_device`."""
    return _reduced


def provenance() -> dict[str, Any]:
    """Commit, versions and machine, to stand beside a result."""
    return {
        "commit": _commit(),
        "torch": str(torch.__version__),
        "gymnasium": version("gymnasium"),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


#: What decides a result, from the root of the repository; results and policies written beside it do not.
_CODE = (":/ibc", ":/envs", ":/configs", ":/scripts", ":/constraints.txt")


def _commit() -> str | None:
    """The commit of the code that runs, ``-dirty`` where that is changed; None outside of a repository."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", *_CODE)
    return f"{commit}-dirty" if commit and changed else commit


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        run = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(key: str) -> str:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.split(":", 1)[0].strip() == key:
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""
