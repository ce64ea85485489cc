"""Training steps that are recorded once and replayed: on a GPU, one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ibc.cuda_graph import Replay, capture_cuda_graph, run_aside
from ibc.losses.base import Metrics

#: Steps that are taken before the recording, in which libraries choose their kernels and optimizers make their state.
WARM_UPS = 3
#: Entries of an optimizer's groups that say how it computes.
FLAGS = ("fused", "foreach", "capturable")
#: Operations whose result the host waits for, or that copy from the host.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::unique_dim",
    "aten::_unique2",
    "aten::lift_fresh",
}

#: Takes one step on the device; returns metrics as tensors.
Step = Callable[[], Metrics]
#: Records a step that draws from some generators; returns its metrics and how it is replayed.
Capture = Callable[[Step, Sequence[torch.Generator]], tuple[Metrics, Replay]]


class RecordedStep:
    """Takes steps of a training run: the first few directly, the others by replaying a recording.

    A step that waits for the device cannot be recorded and is taken directly each time; this is printed once.

    Args:
        step: reads and writes tensors that stay in their places.
        generators: of which it draws, besides torch's own.
        capture: records it.
    """

    def __init__(
        self,
        step: Step,
        generators: Sequence[torch.Generator],
        capture: Capture = capture_cuda_graph,
    ) -> None:
        self.step, self.generators, self.capture = step, generators, capture
        self.obstacle: str | None = None
        self._taken = 0
        self._out: Metrics = {}
        self._replay: Replay | None = None

    def __call__(self) -> Metrics:
        """Take a step; its metrics are valid until the next one."""
        self._taken += 1
        if self._taken == WARM_UPS and self.obstacle is None:
            with _Watch() as watch:  # type: ignore[no-untyped-call]
                out = self._aside()
            if watch.waiting:
                self._give_up(f"{watch.waiting} waits for the device")
            return out
        if self.obstacle is not None or self._taken < WARM_UPS:
            return self._aside()
        if self._replay is None:
            try:
                self._out, self._replay = self.capture(self.step, self.generators)
            except RuntimeError as error:
                self._release()
                self._give_up(str(error).splitlines()[0])
                return self._aside()
        self._replay()
        return self._out

    def _aside(self) -> Metrics:
        return self.step() if self.capture is not capture_cuda_graph else run_aside(self.step)

    def _give_up(self, obstacle: str) -> None:
        self.obstacle = obstacle
        print(f"training steps are not recorded as a CUDA graph: {obstacle}")

    def _release(self) -> None:
        """Free the generators, which a recording that failed keeps, by one that does not fail."""
        self.capture(dict, self.generators)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the first operation that waits for the device or copies from the host."""

    waiting: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition(".")[0]
        mask = name == "aten::index" and any(
            isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if self.waiting is None and (name in WAITING or mask):
            self.waiting = name
        return func(*args, **(kwargs or {}))


def with_flags_of(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimizer's saved state as one that computes like ``optimizer``: it says where numbers of steps are."""
    groups = [
        {**old, **{key: new[key] for key in FLAGS if key in new}}
        for old, new in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**saved, "param_groups": groups}
