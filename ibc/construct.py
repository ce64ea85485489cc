"""Components from their descriptions (``ibc.component``), and what a description in a file may name."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from ibc.component import Component
from ibc.errors import UserError

#: Where classes that a file may name live. A file is a boundary: its text comes from somebody else.
TRUSTED = (
    "ibc.policies",
    "ibc.energies",
    "ibc.composition",
    "ibc.constraints",
    "ibc.detection",
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

#: Values that are checked by their class.
_PLAIN = (str, int, float, bool, type(None))


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
        _check_arguments(target, kwargs)
        return target(*args, **kwargs)
    except (
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        ZeroDivisionError,
        AttributeError,
    ) as error:
        made = target.func if isinstance(target, functools.partial) else target
        name = getattr(made, "__name__", type(made).__name__)
        raise UserError(f"cannot build {what} ({name}): {' '.join(str(error).split())}") from error


def _check_arguments(target: Any, kwargs: Mapping[str, Any]) -> None:
    """Hold arguments against the annotations of a constructor: a dataclass would keep anything, and fail when it acts.

    Numbers, texts, switches and components are checked, and unions of them; what is annotated otherwise is left to the
    constructor. A number of things, ``num_...``, is not negative.

    Raises:
        TypeError: naming the argument and what is allowed.
    """
    if not isinstance(target, type) or not issubclass(target, Component):
        return
    with contextlib.suppress(
        NameError
    ):  # annotations of other packages may name what is not there at run time
        hints = typing.get_type_hints(target.__init__)
        for name, value in kwargs.items():
            allowed = _classes(hints.get(name))
            if allowed and not _is_one_of(value, allowed):
                names = " or ".join(
                    "null" if one is type(None) else one.__name__ for one in allowed
                )
                raise TypeError(f"{name}={value!r}; it must be {names}")
            if name.startswith("num_") and isinstance(value, int) and value < 0:
                raise TypeError(f"{name}={value}; it must be at least 0")


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes that an annotation allows; none where it says more than classes can."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    checked = all(
        isinstance(part, type) and (part in _PLAIN or issubclass(part, Component)) for part in parts
    )
    return tuple(parts) if checked else ()


def _is_one_of(value: Any, allowed: Collection[type]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    return isinstance(value, (*allowed, functools.partial))


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
