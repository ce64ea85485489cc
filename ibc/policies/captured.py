"""Searches recorded once and replayed: on a GPU, one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from ibc.random import RandomSource
from ibc.samplers import Candidates
from ibc.spec import Obs

#: Eager runs before a recording, in which libraries choose their kernels and allocate their workspaces.
WARM_UPS = 3
#: Recordings kept, the latest used: each holds the memory of one search.
MOST_RECORDINGS = 8


#: What is recorded: a search, called with observations and a source of random numbers.
Search = Callable[[Obs, RandomSource], Candidates]
#: Does what was recorded again, on the same memory.
Replay = Callable[[], None]
#: Records work: its results, and how it is replayed.
Capture = Callable[[Callable[[], Candidates]], tuple[Candidates, Replay]]


def capture_cuda_graph(work: Callable[[], Candidates]) -> tuple[Candidates, Replay]:
    """``work`` as a CUDA graph (PyTorch documentation, "CUDA Graphs").

    Raises:
        RuntimeError: ``work`` waits for the device, and so cannot be recorded.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()
    return out, graph.replay


class CapturedSearch:
    """A search that is recorded at the first call of each kind and replayed after that, with the same results.

    What varies is copied to where the recording reads it: the observation, and every random number, drawn before the
    replay in the order in which the search asked for it. What cannot be recorded, such as a chain that ends early, is
    searched as ever.

    Args:
        search: draws the same shapes of noise whenever observations have the same shapes.
        capture: how work is recorded.
    """

    def __init__(self, search: Search, capture: Capture = capture_cuda_graph) -> None:
        self.search = search
        self.capture = capture
        self._recordings: dict[Hashable, _Recording | None] = {}

    def __call__(self, obs: Obs, rng: RandomSource, kind: Hashable) -> Candidates:
        """What ``search(obs, noise)`` returns; ``kind`` must differ wherever more than the values do."""
        shapes = tuple((name, array.shape, array.dtype) for name, array in sorted(obs.items()))
        key = (kind, shapes)
        known = key in self._recordings
        recording = self._recordings.pop(key) if known else self._record(obs, rng)
        self._recordings[key] = recording
        while len(self._recordings) > MOST_RECORDINGS:
            del self._recordings[next(iter(self._recordings))]
        return self.search(obs, rng) if recording is None else recording(obs, rng)

    def _record(self, obs: Obs, rng: RandomSource) -> _Recording | None:
        inputs = {name: array.clone() for name, array in obs.items()}
        tape = _Tape(next(iter(obs.values())).device)
        try:
            self.search(inputs, tape)  # finds out which random numbers are asked for
            tape.closed = True
            out, replay = self.capture(_Rewound(self.search, inputs, tape))
        except RuntimeError:
            return None
        return _Recording(inputs, tape, out, replay)


class _Tape:
    """Noise from tensors that stay where they are; until ``closed``, every request adds one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.closed = False
        self.draws: list[tuple[bool, Tensor]] = []
        self._next = 0

    def rewind(self) -> None:
        self._next = 0

    def uniform(self, *shape: int) -> Tensor:
        """See :class:`RandomSource`."""
        return self._draw(shape, normal=False)

    def normal(self, *shape: int) -> Tensor:
        """See :class:`RandomSource`."""
        return self._draw(shape, normal=True)

    def fill(self, rng: RandomSource) -> None:
        """Fresh numbers in all tensors."""
        for normal, tensor in self.draws:
            tensor.copy_(rng.normal(*tensor.shape) if normal else rng.uniform(*tensor.shape))

    def _draw(self, shape: tuple[int, ...], *, normal: bool) -> Tensor:
        if not self.closed:
            draw = torch.rand(*shape, device=self.device)
            self.draws.append((normal, draw))
            return draw.clone()
        expected, tensor = self.draws[self._next]
        if tensor.shape != shape or expected != normal:
            raise RuntimeError("the search asks for other random numbers each time")
        self._next += 1
        return tensor.clone()  # a search may change what it is given


@dataclass(frozen=True)
class _Rewound:
    """The search from fixed inputs, with the tape from its start."""

    search: Search
    inputs: Obs
    tape: _Tape

    def __call__(self) -> Candidates:
        self.tape.rewind()
        return self.search(self.inputs, self.tape)


@dataclass(frozen=True)
class _Recording:
    inputs: Obs
    tape: _Tape
    out: Candidates
    replay: Replay

    def __call__(self, obs: Obs, rng: RandomSource) -> Candidates:
        for name, array in obs.items():
            self.inputs[name].copy_(array)
        self.tape.fill(rng)
        self.replay()
        return Candidates(self.out.action.clone(), self.out.energy.clone())
