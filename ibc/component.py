"""One description of a component: its class and the arguments of its constructor.

A component made in Python, named in YAML or read from a checkpoint has the same description, a mapping such as
``{"_target_": "ibc.samplers.DFO", "num_candidates": 64, ...}``. :func:`describe` writes it, :func:`construct` reads it.
``_partial_: true`` describes a call that lacks arguments (an optimizer without its parameters), ``_args_`` positional
arguments: the notation of Hydra.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from torch import Tensor, nn

from ibc.errors import UserError

#: Where classes that a file may name live. A file is a boundary: its text comes from somebody else.
TRUSTED = (
    "ibc.policies",
    "ibc.energies",
    "ibc.composition",
    "ibc.constraints",
    "ibc.samplers",
    "ibc.losses",
    "ibc.nn",
    "ibc_envs",
    "torch.optim",
)

#: Packages that announce an entry point of this group are trusted like this one.
PLUGINS = "ibc.plugins"

#: Largest numbers that a file may ask for: of widths of networks, of repetitions, and of everything else.
MOST = {
    "width": 8192,
    "hidden_size": 8192,
    "num_blocks": 256,
    "num_iterations": 10_000,
    "num_steps": 10_000,
    "max_steps": 10_000,
}
MOST_OF_OTHERS = 2**20

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


def describe(value: Any) -> Any:  # noqa: PLR0911  one return for each kind of value
    """The description of a component, or of plain containers of components.

    Raises:
        UserError: it cannot be described: a lambda, or an object whose class is no :class:`Component`.
    """
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


def construct(config: object, what: str, *, trusted: Collection[str] | None = None) -> Any:
    """Build what a description describes.

    Args:
        config: with a ``_target_``, nested to any depth.
        what: its name in messages.
        trusted: packages whose classes may be named; None for text that the user wrote, which may name anything.

    Raises:
        UserError: it names what does not exist or is not trusted, or arguments that do not fit.
    """
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise UserError(f"{what} must be a configuration with a _target_, got {config!r}")
    if trusted is not None:
        check_trusted(config, trusted)
    return _construct(config, what)


def _construct(node: Any, what: str) -> Any:
    if isinstance(node, list | tuple):
        return [_construct(item, what) for item in node]
    if not isinstance(node, Mapping):
        return node
    built = {
        str(k): _construct(v, what) for k, v in node.items() if k not in ("_target_", "_partial_")
    }
    if "_target_" not in node:
        return built
    target = find(str(node["_target_"]))
    args = built.pop("_args_", [])
    if node.get("_partial_"):
        return functools.partial(target, *args, **built)
    return call(target, what, *args, **built)


def call(target: Any, what: str, *args: Any, **kwargs: Any) -> Any:
    """Call a constructor with configured arguments.

    Raises:
        UserError: they do not fit.
    """
    try:
        _check_numbers(target, kwargs)
        return target(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, AttributeError) as error:
        made = target.func if isinstance(target, functools.partial) else target
        name = getattr(made, "__name__", type(made).__name__)
        raise UserError(f"cannot build {what} ({name}): {' '.join(str(error).split())}") from error


def _check_numbers(target: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse text where a number is expected: a dataclass would keep it, and fail when it is used."""
    if not isinstance(target, type) or not issubclass(target, Component):
        return
    parameters = inspect.signature(target).parameters
    for name, value in kwargs.items():
        wants_number = name in parameters and parameters[name].annotation in ("int", "float")
        if wants_number and not isinstance(value, int | float):
            raise TypeError(f"{name}={value}; it must be a number")


def find(name: str) -> Any:
    """The class or function of a dotted name.

    Raises:
        UserError: there is none.
    """
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, ImportError) and module else "no such name"
        raise UserError(f"configuration names '{name}', which does not exist ({reason})") from error


def trusted_packages(trust: Collection[str] = ()) -> tuple[str, ...]:
    """Packages whose classes a checkpoint may name: this project's, plug-ins', and those given by name."""
    return (*TRUSTED, *sorted(point.value for point in entry_points(group=PLUGINS)), *trust)


def check_trusted(config: object, trusted: Collection[str]) -> None:
    """Refuse a description that names anything but classes of trusted packages.

    The class is resolved, and its own module checked as well: a trusted module re-exports others. To resolve it, only
    trusted modules are imported. Strings with interpolations are refused: they could turn into something else later.

    Raises:
        UserError: naming the target and what is allowed.
    """
    for node in _nodes(config):
        if isinstance(node, Mapping) and "_target_" in node:
            _check_target(str(node["_target_"]), trusted)
        if isinstance(node, Mapping):
            for name, value in node.items():
                _check_size(str(name), value)
    refuse_interpolations(config)


def _check_size(name: str, value: object) -> None:
    """Refuse a number of a file that would take all memory or time there is, or that is none."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"the file says {name}={value}; a finite number is needed")
    most = MOST.get(name, MOST_OF_OTHERS)
    if isinstance(value, int) and abs(value) > most:
        raise UserError(f"the file says {name}={value}; at most {most} is possible")


def refuse_interpolations(config: object) -> None:
    """Refuse strings that Hydra would resolve, which may call functions, in text from a file.

    Raises:
        UserError: naming the string.
    """
    for node in _nodes(config):
        if isinstance(node, str) and "${" in node:
            raise UserError(f"the file holds an interpolation, '{node}', where values are expected")


def _nodes(config: object) -> Iterator[object]:
    """The configuration and everything in it: keys, values and items, at any depth."""
    yield config
    children = [*config, *config.values()] if isinstance(config, Mapping) else config
    if isinstance(children, list | tuple):
        for child in children:
            yield from _nodes(child)


def _check_target(target: str, trusted: Collection[str]) -> None:
    package = target.partition(".")[0]
    refusal = UserError(
        f"the file names '{target}'; it may name classes of {', '.join(trusted)}. "
        f"If you trust its origin, add trust=[{package}]"
    )
    if not _is_within(target, trusted):
        raise refusal
    found = find(target)
    if not isinstance(found, type) or not _is_within(f"{found.__module__}.", trusted):
        raise refusal


def _is_within(name: str, packages: Collection[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)
