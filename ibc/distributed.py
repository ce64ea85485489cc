"""Several processes that train one policy, started by torchrun; the first one alone writes and evaluates."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

# Its functions keep the group of processes as the default of an argument, if there is one when they are imported. The
# first optimizer imports them; `destroy_process_group` would then leave threads, which abort the process where they end
# after the interpreter. Here there is no group yet.
import torch.distributed.nn.functional
from torch import Tensor

from ibc.errors import UserError

T = TypeVar("T")

#: How long the others wait for the first process, which evaluates and writes.
PATIENCE = timedelta(days=1)


def join_processes(*, on_gpu: bool) -> None:
    """Meet the other processes that torchrun has started; what the others print is dropped.

    Gradients travel by NCCL between GPUs and by Gloo between processors. Does nothing in a single process.

    Args:
        on_gpu: each process then takes the GPU of its number on its machine.

    Raises:
        UserError: a machine has fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if on_gpu:
        local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= count:
            raise UserError(
                f"--nproc-per-node is above {count}, the number of GPUs; give as many, or device=cpu"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)
    if not is_first():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  until the process ends


def num_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process_index() -> int:
    """The number of this process among them."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes, evaluates and prints."""
    return process_index() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if num_processes() > 1:
        any_process(False)


def any_process(flag: bool) -> bool:
    """Whether ``flag`` is true in any process; every process gets the same answer."""
    if num_processes() == 1:
        return flag
    raised = torch.tensor(int(flag))
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def first_then_others(work: Callable[[], T]) -> T:
    """Do it in the first process, and then in the others, which find on disk what the first has made."""
    if not is_first():
        wait_for_all()
    done = work()
    if is_first():
        wait_for_all()
    return done


def from_first(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Numbers that the first process measures, in every process."""
    if num_processes() == 1:
        return measure()
    text = json.dumps(measure()).encode() if is_first() else b""
    length = torch.tensor(len(text))
    dist.broadcast(length, 0)
    content = (
        torch.frombuffer(bytearray(text), dtype=torch.uint8)
        if is_first()
        else torch.empty(int(length), dtype=torch.uint8)
    )
    dist.broadcast(content, 0)
    numbers: dict[str, float] = json.loads(bytes(content.tolist()))
    return numbers


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their means over the processes, in one message; they have one dtype."""
    if num_processes() == 1:
        return
    every = list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in every])
    dist.all_reduce(flat)
    flat /= num_processes()
    for tensor, mean in zip(every, torch.split(flat, [t.numel() for t in every]), strict=True):
        tensor.copy_(mean.view_as(tensor))
