"""One description of a component: its class and the arguments of its constructor.

A component made in Python, named in YAML or read from a checkpoint has the same description, a mapping such as
``{"_target_": "ibc.samplers.DFO", "num_candidates": 64, ...}``. :func:`describe` writes it,
:func:`ibc.construct.construct` reads it.
``_partial_: true`` describes a call that lacks arguments (an optimizer without its parameters), ``_args_`` positional
arguments: the notation of Hydra.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn

from ibc.errors import UserError

T = TypeVar("T", bound="Component")

_PLAIN = (str, int, float, bool, type(None))


class Component:
    """Base of everything that a configuration can name: it remembers the arguments of its constructor."""

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        """Record the arguments."""
        self: T = object.__new__(cls)
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        bound = inspect.Signature(parameters).bind_partial(*args, **kwargs)
        bound.apply_defaults()
        self.__dict__["_arguments"] = (bound.args, bound.kwargs, bound.arguments)
        return self

    def arguments(self) -> dict[str, Any]:
        """The arguments by name; where an attribute has the name of an argument, its present value."""
        recorded: Mapping[str, Any] = self.__dict__["_arguments"][2]
        return {name: self._current(name, value) for name, value in recorded.items()}

    def _current(self, name: str, recorded: Any) -> Any:
        modules = self.__dict__.get("_modules", {})
        buffers = self.__dict__.get("_buffers", {})
        is_property = isinstance(getattr(type(self), name, None), property)
        if not (name in self.__dict__ or name in modules or name in buffers or is_property):
            return recorded
        current = getattr(self, name)
        is_part = isinstance(current, nn.Module) and not isinstance(current, Component)
        is_switch = isinstance(recorded, bool) and not isinstance(current, bool)
        return recorded if is_part or is_switch else current


def check_positive(component: Component, *keys: str) -> None:
    """Check numbers of a component, given by the names of its attributes.

    Raises:
        UserError: one is not above zero.
    """
    for key in keys:
        if not (number := getattr(component, key)) > 0:
            raise UserError(f"{type(component).__name__}: {key}={number}; it must be above 0")


def describe(value: Any) -> Any:  # noqa: PLR0911  one return for each kind of value
    """The description of a component, or of plain containers of components.

    Raises:
        UserError: it cannot be described: a lambda, or an object whose class is no :class:`Component`.
    """
    if isinstance(value, np.generic):  # some of which are Python's numbers, too
        return value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Component):
        return {"_target_": public_name(type(value)), **_described_arguments(value)}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [describe(item) for item in value]
    if isinstance(value, functools.partial):
        positional = {"_args_": describe(list(value.args))} if value.args else {}
        target = public_name(value.func)
        return {"_target_": target, "_partial_": True, **positional, **describe(value.keywords)}
    if inspect.isclass(value) or inspect.isfunction(value):
        return {"_target_": public_name(value), "_partial_": True}
    raise UserError(
        f"a {type(value).__name__} cannot be saved with a policy; derive its class from ibc.Component, "
        "or give functools.partial(function, ...) of a function that makes it"
    )


def _described_arguments(component: Component) -> dict[str, Any]:
    signature = inspect.signature(type(component).__init__).parameters
    described: dict[str, Any] = {}
    for name, value in component.arguments().items():
        kind = signature[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            described["_args_"] = describe(list(value))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            described |= describe(value)
        elif name != "spec":  # what a policy sees and does is saved by itself
            described[name] = describe(value)
    return described


def public_name(found: Any) -> str:
    """The dotted name of a class or function, by the package that exports it where there is one.

    Raises:
        UserError: it cannot be imported by a name: a lambda, or something defined inside a function.
    """
    module, name = found.__module__, found.__qualname__
    if "<" in name or module == "__main__":
        raise UserError(
            f"{module}.{name} cannot be saved: put it into a module that can be imported"
        )
    parts = module.split(".")
    exporting = [
        package
        for package in (".".join(parts[:depth]) for depth in range(1, len(parts)))
        if package != "ibc" and getattr(importlib.import_module(package), name, None) is found
    ]
    module = exporting[0] if exporting else module
    return f"{module}.{name}"
