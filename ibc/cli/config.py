"""Configuration: the only place that knows Hydra, and the only place that turns names into code."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ibc.cli import schema
from ibc.d4rl import find_task
from ibc.errors import Interrupted, UserError

#: Modules whose classes a configuration may name. Checkpoints carry configuration, so this is a security boundary.
ALLOWED = (
    "ibc.policies",
    "ibc.energies",
    "ibc.constraints",
    "ibc.samplers",
    "ibc.losses",
    "ibc.nn",
    "ibc_envs",
    "benchmarks.envs",
    "torch.optim",
)

for _name in ("Train", "Collect", "Evaluate", "Record", "Study", "Benchmark", "Methods", "Figures"):
    ConfigStore.instance().store(f"{_name.lower()}_schema", getattr(schema, f"{_name}Schema"))
ConfigStore.instance().store("compose_study_schema", schema.ComposeStudySchema)
ConfigStore.instance().store("evaluate_expert_schema", schema.EvaluateExpertSchema)

# ${d4rl:env_id,${task}} and so on: what experiment=d4rl asks of its task.
OmegaConf.register_new_resolver("d4rl", lambda key, name: getattr(find_task(name or ""), key))

RESOLVER_ERROR = "UserError raised while resolving interpolation: "

#: Parts of a training configuration that policies, losses and one another take by interpolation, or do not take.
PARTS = ("encoder", "sampler", "negatives", "density", "energy_loss", "network")
REFERENCE = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")

#: Where the project's YAML files are.
_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIR = next(
    path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()
)

#: What a configuration looks like once Hydra is done with it.
Config = dict[str, Any]


def main(job: Callable[[Config], None], config_name: str) -> None:
    """Run ``job`` as a command line program with Hydra's overrides.

    Errors and interruptions end as :func:`readable_errors` says.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets errors through to the handler below
    sys.path.append(str(Path.cwd()))  # for env.id=module:ID with a module of the user's
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def guarded(config: DictConfig) -> None:
        with (
            readable_errors()
        ):  # here as well: Hydra would print lines of its own about an error it sees
            refuse_idle(config, list(HydraConfig.get().overrides.task))
            job(plain(config))

    decorate = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    with readable_errors():
        decorate(guarded)()


@contextmanager
def readable_errors() -> Iterator[None]:
    """Ends the program in one line and code 2 on what the user can put right, 130 on an interruption."""
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        text = str(error)
        if error.__cause__ is not None and not isinstance(error, UserError):
            text += f"\n{error.__cause__}"  # where Hydra says that, its cause says why
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines and lines[0].startswith(RESOLVER_ERROR):  # ours; what follows is about OmegaConf
            lines = [lines[0].removeprefix(RESOLVER_ERROR)]
        print(f"error: {'; '.join(lines)}", file=sys.stderr)
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
        sys.exit(130)


def refuse_idle(config: DictConfig, overrides: list[str]) -> None:
    """Refuse an override of a part that the chosen policy does not take.

    A policy takes its parts by interpolation, and some have their own: ``sampler=dfo`` says nothing to one of these.

    Raises:
        UserError: such an override.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    if "policy" not in raw:
        return
    taken: set[str] = set()
    waiting = [str(value) for name, value in raw.items() if name not in PARTS]
    while waiting:
        for reference in REFERENCE.findall(waiting.pop()):
            if reference not in taken:
                taken.add(reference)
                waiting.append(str(raw.get(reference.partition(".")[0])))
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        is_taken = any(  # itself, a part of it, or what it is a part of
            f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in taken
        )
        if key.partition(".")[0] in PARTS and not is_taken:
            raise UserError(
                f"{override} has no effect: neither policy={raw['policy_name']} nor its loss takes it; "
                "allowed: what --cfg job shows under policy and loss, as policy.KEY=... and loss.KEY=..."
            )


def plain(config: DictConfig) -> Config:
    """The configuration resolved to plain containers.

    Raises:
        UserError: a value that must be given is not.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"please give {', '.join(f'{key}=...' for key in missing)}")
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def compose(config_name: str, overrides: list[str]) -> Config:
    """The configuration that a command line would give (for tests and for running experiments in one process)."""
    setup_globals()
    GlobalHydra.instance().clear()  # a command may compose the configurations of others
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return plain(hydra.compose(config_name, overrides))


def build(config: object, what: str) -> Any:
    """Construct what a configuration describes by its ``_target_``.

    Raises:
        UserError: it names code outside :data:`ALLOWED`, or arguments that do not fit.
    """
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise UserError(f"{what} must be a configuration with a _target_, got {config!r}")
    check_targets(config)
    try:
        return instantiate(dict(config), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"cannot build {what}: {' '.join(str(cause).split())}") from error


def complete(partial: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """Call what a ``_partial_`` configuration described, with what only the program knows.

    Raises:
        UserError: the configured arguments do not fit.
    """
    try:
        return partial(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"cannot build {what}: {' '.join(str(error).split())}") from error


def at_least(config: Mapping[str, Any], **minima: int) -> None:
    """Check ranges of run-level numbers.

    Raises:
        UserError: naming the key and what is allowed.
    """
    for key, minimum in minima.items():
        if config[key] < minimum:
            raise UserError(f"{key}={config[key]}; it must be at least {minimum}")


def check_targets(config: object) -> None:
    """Refuse any ``_target_`` whose object does not live in an allowed module.

    The object is resolved first: an allowed module re-exports others, and the name alone could be walked around. To
    resolve it, only allowed modules are imported. Strings with interpolations are refused as well: they would turn into
    something else after this check, and a resolved configuration has none.

    Raises:
        UserError: naming the target and the modules allowed.
    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key == "_target_":
                _check_target(str(value))
            check_targets(value)
    elif isinstance(config, list | tuple):
        for item in config:
            check_targets(item)
    elif isinstance(config, str) and "${" in config:
        raise UserError(
            f"configuration holds an interpolation, '{config}', where values are expected"
        )


def _check_target(target: str) -> None:
    refusal = UserError(f"configuration names '{target}'; allowed are {', '.join(ALLOWED)}")
    if not _allowed(target):
        raise refusal
    try:
        found = get_object(target)
    except Exception as error:  # Hydra reports a failed import by several types
        raise UserError(f"configuration names '{target}', which does not exist") from error
    if not isinstance(found, type) or not _allowed(f"{found.__module__}."):
        raise refusal


def _allowed(name: str) -> bool:
    return any(name.startswith(f"{module}.") for module in ALLOWED)
