"""Random numbers for proposals and samplers, drawn either for a whole batch or row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class RandomSource(Protocol):
    """A source of random tensors whose first dimension is the batch."""

    def uniform(self, *shape: int) -> Tensor:
        """Draws from U[0, 1)."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """Draws from N(0, 1)."""
        ...


class BatchRandom:
    """One generator for the whole batch: the fast choice, for training."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, *shape: int) -> Tensor:
        """Draws from U[0, 1), on the generator's device."""
        return torch.rand(*shape, generator=self.generator, device=self.generator.device)

    def normal(self, *shape: int) -> Tensor:
        """Draws from N(0, 1), on the generator's device."""
        return torch.randn(*shape, generator=self.generator, device=self.generator.device)


class PerEpisodeRandom:
    """One generator a row: what row b receives does not depend on which rows stand beside it.

    This makes an episode's outcome a function of its own seed, however many environments run at once. Numbers are
    drawn on the CPU, so they are also the same on every device.
    """

    def __init__(self, generators: Sequence[torch.Generator], device: torch.device) -> None:
        self.generators = generators
        self.device = device

    def uniform(self, *shape: int) -> Tensor:
        """Draws from U[0, 1); ``shape[0]`` is the number of generators."""
        return self._rows(shape, normal=False)

    def normal(self, *shape: int) -> Tensor:
        """Draws from N(0, 1); ``shape[0]`` is the number of generators."""
        return self._rows(shape, normal=True)

    def _rows(self, shape: Sequence[int], *, normal: bool) -> Tensor:
        if shape[0] != len(self.generators):
            raise ValueError(f"{len(self.generators)} generators cannot fill {shape[0]} rows")
        out = torch.empty(*shape)
        for row, generator in zip(out, self.generators, strict=True):
            if normal:
                row.normal_(generator=generator)
            else:
                row.uniform_(generator=generator)
        return out.to(self.device)
