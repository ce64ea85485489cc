"""Define a network part that a configuration can name."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

from ibc.component import Component

T = TypeVar("T", bound="Module")


class Module(Component, nn.Module):
    """An ``nn.Module`` that remembers the arguments of its constructor.

    It is set up before the constructor runs, so that a subclass can be a dataclass of its arguments. Layers are made in
    ``build``, when sizes are known.
    """

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        """Record the arguments, and set up the module."""
        self = super().__new__(cls, *args, **kwargs)
        nn.Module.__init__(self)
        return self
