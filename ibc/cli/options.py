"""What a command line may name: options and launchers of Hydra, keys of a configuration."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence

from ibc.errors import UserError

#: Options that Hydra takes; everything else is given as key=value.
OPTIONS = re.compile(
    "-(m|c|r|p|sc|cp|cn|cd|i|-multirun|-cfg|-resolve|-package|-run|-shell-completion|-config-path"
    "|-config-name|-config-dir|-experimental-rerun|-info|-hydra-help|-version)"
)
#: Launchers of sweeps beside Hydra's own: their module and what brings it.
LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", "'ibc[joblib]'"),
    "submitit_local": ("hydra_submitit_launcher", "'ibc[submitit]'"),
    "submitit_slurm": ("hydra_submitit_launcher", "'ibc[submitit]'"),
    "ray": ("hydra_ray_launcher", "hydra-ray-launcher"),
}


def refuse_options(arguments: Sequence[str]) -> None:
    """Refuse options that Hydra does not have.

    Raises:
        UserError: saying how the value is given.
    """
    for position, argument in enumerate(arguments):
        option = argument.partition("=")[0]
        if option.startswith("-") and not OPTIONS.fullmatch(option):
            following = [*arguments[position + 1 :], "VALUE"][0]
            value = argument.partition("=")[2] or following
            raise UserError(
                f"there is no option {option}; values are given as {option.lstrip('-')}={value}"
            )


def refuse_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher of Hydra whose package is not there.

    Raises:
        UserError: naming what to install.
    """
    for argument in arguments:
        key, _, name = argument.partition("=")
        package = LAUNCHERS.get(name) if key == "hydra/launcher" else None
        if package is None:
            continue
        try:
            found = importlib.util.find_spec(f"hydra_plugins.{package[0]}")
        except ModuleNotFoundError:  # no launcher at all is installed
            found = None
        if found is None:
            raise UserError(f"{argument} needs another package: pip install {package[1]}")


def dotted_keys(node: object, prefix: str = "") -> list[str]:
    """The addresses of all values in nested mappings: ``a``, ``a.b``, ..."""
    if not isinstance(node, Mapping):
        return []
    keys = []
    for key, value in node.items():
        keys += [f"{prefix}{key}", *dotted_keys(value, f"{prefix}{key}.")]
    return keys
