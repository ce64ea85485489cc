"""Searches that are recorded once and replayed: on a GPU, one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ibc.cuda_graph import Replay, capture_cuda_graph, run_aside
from ibc.policies.search import SearchResult
from ibc.random import RandomSource
from ibc.spec import Obs

#: Eager runs before a recording, in which libraries choose their kernels and allocate their workspaces.
WARM_UPS = 3
#: Recordings kept, the latest used: each holds the memory of one search.
MOST_RECORDINGS = 8
#: Attributes of energies that are compared by value.
PLAIN = (bool, int, float, str, list, tuple)


#: A search from observations and a source of random numbers.
Search = Callable[[Obs, RandomSource], SearchResult]
#: Records work; returns its result and how it is replayed.
Capture = Callable[[Callable[[], SearchResult]], tuple[SearchResult, Replay]]


def capture_search(work: Callable[[], SearchResult]) -> tuple[SearchResult, Replay]:
    """Record a search as a CUDA graph.

    Raises:
        RuntimeError: it waits for the device, and so cannot be recorded.
    """
    for _ in range(WARM_UPS):
        run_aside(work)
    return capture_cuda_graph(work)


def settings_of(module: nn.Module, *, without: nn.Module) -> str:
    """Return the plain attributes of a module and its parts but one, which a recording takes as constants."""
    kept, parts = [], [module]
    while parts:
        part = parts.pop()
        if part is not without:
            kept += [(key, value) for key, value in vars(part).items() if isinstance(value, PLAIN)]
            parts += part.children()
    return repr(kept)


class CapturedSearch:
    """Records a search at the first call of each kind and replays it after that, with the same results.

    The inputs are copied to the memory that the recording reads: the observation, and all random numbers, drawn before
    the replay in the order of the search. A search that cannot be recorded, such as one that ends early, is run
    directly.

    Args:
        capture: records work.
    """

    def __init__(self, capture: Capture = capture_search) -> None:
        self.capture = capture
        self._recordings: dict[Hashable, Search | None] = {}

    def __reduce__(self) -> tuple[type[CapturedSearch], tuple[Capture]]:
        """Leave recordings out of copies: they belong to memory of this process."""
        return type(self), (self.capture,)

    def __call__(self, search: Search, obs: Obs, rng: RandomSource, kind: Hashable) -> SearchResult:
        """Return ``search(obs, rng)``.

        Args:
            search: draws random numbers of the same shapes whenever observations have the same shapes.
            obs: its first argument.
            rng: its second argument.
            kind: must differ between searches that differ by more than the values of the observations.
        """
        shapes = tuple((name, array.shape, array.dtype) for name, array in sorted(obs.items()))
        key = (kind, shapes)
        known = key in self._recordings
        recording = self._recordings.pop(key) if known else self._record(search, obs)
        self._recordings[key] = recording
        while len(self._recordings) > MOST_RECORDINGS:
            del self._recordings[next(iter(self._recordings))]
        return search(obs, rng) if recording is None else recording(obs, rng)

    def _record(self, search: Search, obs: Obs) -> Search | None:
        inputs = {name: array.clone() for name, array in obs.items()}
        tape = _Tape(next(iter(obs.values())).device)

        def work() -> SearchResult:
            tape.rewind()
            return search(inputs, tape)

        try:
            work()  # finds out which random numbers are drawn
            tape.closed = True
            out, replay = self.capture(work)
        except RuntimeError:
            return None

        def recording(obs: Obs, rng: RandomSource) -> SearchResult:
            for name, array in obs.items():
                inputs[name].copy_(array)
            tape.fill(rng)
            replay()
            return replace(out, action=out.action.clone(), energy=out.energy.clone())

        return recording


class _Tape:
    """Random numbers from tensors of fixed memory; until ``closed``, every request adds one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._first = torch.Generator(device).manual_seed(0)  # that of torch is training's
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
        """Draw new numbers into all tensors."""
        for normal, tensor in self.draws:
            tensor.copy_(rng.normal(*tensor.shape) if normal else rng.uniform(*tensor.shape))

    def _draw(self, shape: tuple[int, ...], *, normal: bool) -> Tensor:
        if not self.closed:
            draw = torch.rand(*shape, generator=self._first, device=self.device)
            self.draws.append((normal, draw))
            return draw.clone()
        expected, tensor = self.draws[self._next]
        if tensor.shape != shape or expected != normal:
            raise RuntimeError("the search draws other random numbers each time")
        self._next += 1
        return tensor.clone()  # a search may change what it is given
