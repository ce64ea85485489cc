"""Register the environments of this package when ``gymnasium`` is imported.

Gymnasium 1.0 removed the entry points by which packages announced their environments. The file ``ibc_envs.pth`` beside
this package in ``site-packages`` imports this module when Python starts (``site``, standard library). It imports
nothing else until ``gymnasium`` is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: The module of Gymnasium after whose import environments can be registered.
_TRIGGER = "gymnasium.envs"


class _RegisterAfterImport(MetaPathFinder, Loader):
    """Import :data:`_TRIGGER` as usual, then register the environments."""

    def __init__(self) -> None:
        self._loader: Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        if fullname != _TRIGGER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See :class:`importlib.abc.Loader`."""
        assert self._loader is not None
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        from ibc_envs import register_envs

        assert self._loader is not None
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        register_envs()


if _TRIGGER not in sys.modules:
    sys.meta_path.insert(0, _RegisterAfterImport())
