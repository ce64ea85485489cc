"""Configuration of the commands: the only place that knows Hydra."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import signal
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ibc.cli import schema
from ibc.cli.app import COMMANDS, CONFIG_DIR
from ibc.cli.messages import one_line
from ibc.cli.options import dotted_keys, refuse_launcher, refuse_options
from ibc.errors import Interrupted, UserError, raised_in

#: Seeds of 63 bits, which every generator takes; some are left for the episodes that follow the first.
MAX_SEED = 2**62
#: What a configuration looks like once Hydra has composed it.
Config = dict[str, Any]

for _name, _node in schema.SCHEMAS.items():
    ConfigStore.instance().store(f"{_name}_schema", _node)
# Hydra keeps no records of its own but the list of a sweep: run folders are the program's.
_QUIET = {"output_subdir": None, "run": {"dir": "."}, "sweep": {"dir": "runs", "subdir": "."}}
ConfigStore.instance().store("hydra_quiet", _QUIET, package="hydra")


class Runs(ABC):
    """What takes the runs of a sweep."""

    @abstractmethod
    def run(self, config: Config, swept: Sequence[str]) -> None:
        """Take one run, which differs from the others by the overrides ``swept``."""

    @abstractmethod
    def summary(self) -> str:
        """What came out."""


def main(
    job: Callable[[Config], None],
    config_name: str,
    *,
    config_dir: Path = CONFIG_DIR,
    sweep: Runs | None = None,
) -> None:
    """Run ``job`` as a command line program with Hydra's overrides; exits as :func:`readable_errors` says.

    Args:
        job: takes the resolved configuration.
        config_name: of a YAML file in ``config_dir``.
        config_dir: the primary folder of configurations; this package's are found beside it.
        sweep: takes the runs of ``-m``; ``job`` if None.
    """
    _begin_process()

    def guarded(config: DictConfig) -> None:
        _begin_process()  # a launcher may have made a new one for this run
        with readable_errors(config_name, config_dir):  # Hydra prints lines of its own otherwise
            overrides = list(HydraConfig.get().overrides.task)
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # a job has its own checkpoint or task
                own = compose(config_name, overrides, config_dir=config_dir)
                if sweep is None:
                    job(own)
                else:
                    sweep.run(own, [o for o in overrides if o.partition("=")[0] in swept])
            else:
                _refuse_unused(config_name, config, overrides)
                job(plain(config))

    with readable_errors(config_name, config_dir):
        refuse_options(sys.argv[1:])
        refuse_launcher(sys.argv[1:])
        _prepare(config_name, sys.argv[1:])
        primary, search = _folders(config_name, config_dir)
        swept = _swept(sys.argv[1:])
        sys.argv += search
        try:
            hydra.main(version_base="1.3", config_path=str(primary), config_name=config_name)(
                guarded
            )()
        finally:
            if sweep is not None and (summary := sweep.summary()):
                print(summary)


def _begin_process() -> None:
    """What every process of a command needs, once."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets errors through to the handler of main
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/.*validated against ConfigStore")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # classes and environments of the user's own modules
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def readable_errors(
    config_name: str | None = None, config_dir: Path = CONFIG_DIR
) -> Iterator[None]:
    """End the program in one line: code 2 on an error of the user's or the system's, 130 on an interruption.

    A pipe that nobody reads any longer ends it quietly, with 141.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        text = one_line(error, lambda: _known_keys(config_name, config_dir))
        print(f"error: {text}", file=sys.stderr)
        sys.exit(2)
    except (OSError, MemoryError, YAMLError, UnicodeDecodeError) as error:
        print(f"error: {' '.join(str(error).split()) or 'the memory is full'}", file=sys.stderr)
        sys.exit(2)
    except (ValueError, RecursionError) as error:
        if not raised_in(error, "hydra", "omegaconf", "yaml"):
            raise
        text = f"a configuration: {error}"
        if "Config group override" in str(error):  # GROUP=null
            text = "a group was set to null; give one of its options"
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:  # of a launcher, with all that the run has printed
        told = re.findall(r"^error: (.*)", str(error), re.MULTILINE)
        if not told or not type(error).__module__.startswith("submitit"):
            raise
        print(f"error: {told[-1]}", file=sys.stderr)
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
        sys.exit(130)


def _known_keys(config_name: str | None, config_dir: Path) -> list[str]:
    """Dotted keys and groups of a command's configuration without overrides."""
    if config_name is None:
        return []
    try:
        config = OmegaConf.to_container(_composed(config_name, [], config_dir), resolve=False)
    except (HydraException, OmegaConfBaseException):
        return []
    groups = [path.name for path in CONFIG_DIR.iterdir() if path.is_dir()]
    return [*groups, *dotted_keys(config)]


def _swept(arguments: Sequence[str]) -> set[str]:
    """The keys to which several values are given."""
    given = [a for a in arguments if "=" in a and not a.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(given)
    return {str(o.input_line).partition("=")[0] for o in parsed if o.is_sweep_override()}


def _refuse_unused(config_name: str, config: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse new keys of parts whose keys are all known, to remove one, and a part that the policy does not take."""
    node = schema.SCHEMAS.get(config_name)
    whole = (
        [f for f in fields(node) if f.type is not Any and isinstance(f.type, type)] if node else []
    )
    needed = {f.name for f in whole}
    for override in overrides:
        key = override.partition("=")[0]
        if key.startswith("~") and key[1:].partition(".")[0] in needed:
            raise UserError(f"{override}: a key of the command cannot be removed")
        if key.startswith("+") and not (CONFIG_DIR / key.lstrip("+").partition("@")[0]).is_dir():
            _refuse_unknown(key.lstrip("+"), schema.SCHEMAS.get(config_name))
    if "policy" not in config or "encoder" not in config:
        return
    taken = str(OmegaConf.to_container(config.policy, resolve=False))
    for override in overrides:
        part = override.partition("=")[0].lstrip("+~").partition(".")[0]
        if part in ("encoder", "network") and f"${{{part}" not in taken:
            raise UserError(f"{override} has no effect: policy={config.policy_name} has no {part}")


def _refuse_unknown(key: str, node: Any) -> None:
    """Refuse a key that a part does not have, where ``node`` is the class of that part and lists its keys.

    Raises:
        UserError: naming the keys there are.
    """
    for i, part in enumerate(parts := key.split(".")):
        if not is_dataclass(node):
            return
        known = {f.name: f.type for f in fields(node)}
        if part not in known:
            near = difflib.get_close_matches(part, known, 1)
            place = ".".join(parts[:i]) or "the command"
            hint = f"did you mean {near[0]}?" if near else f"{place} has {', '.join(known)}"
            raise UserError(f"there is no key '{key}' here; {hint}")
        node = known[part]


def plain(config: DictConfig) -> Config:
    """The configuration resolved to plain containers.

    Raises:
        UserError: a value that must be given is not.
    """
    data = config.get("data") if "checkpoint" in config else None
    if data is not None and OmegaConf.is_interpolation(data, "path"):
        data.path = None  # of env=NAME: demonstrations, which no command on a checkpoint collects
    missing = OmegaConf.missing_keys(config)
    missing -= {"env.id"} if "checkpoint" in missing else set()  # it says which
    if missing:
        raise UserError(f"please give {', '.join(f'{key}=...' for key in sorted(missing))}")
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def compose(config_name: str, overrides: Sequence[str], *, config_dir: Path = CONFIG_DIR) -> Config:
    """The configuration that a command line would give (for tests and for several runs in one process)."""
    _prepare(config_name, overrides)
    config = _composed(config_name, overrides, config_dir)
    _refuse_unused(config_name, config, overrides)
    return plain(config)


def _composed(config_name: str, overrides: Sequence[str], config_dir: Path) -> DictConfig:
    setup_globals()
    GlobalHydra.instance().clear()  # a command may compose the configurations of others
    primary, search = _folders(config_name, config_dir)
    with hydra.initialize_config_dir(str(primary), version_base="1.3"):
        return hydra.compose(config_name, [*search, *overrides])


def offer(group: str, name: str, content: Mapping[str, Any], package: str) -> None:
    """Offer ``content`` as option ``name`` of a group, mounted at ``package``."""
    node = OmegaConf.create(dict(content))
    ConfigStore.instance().store(name, node, group=group, package=package)


def _folders(config_name: str, config_dir: Path) -> tuple[Path, list[str]]:
    """The folder that has the configuration, and the override that adds the other one to Hydra's search path."""
    if config_dir == CONFIG_DIR:
        return CONFIG_DIR, []
    is_its_own = (config_dir / f"{config_name}.yaml").exists()
    primary, other = (config_dir, CONFIG_DIR) if is_its_own else (CONFIG_DIR, config_dir)
    return primary, [f"hydra.searchpath=[file://{other}]"]


def _prepare(config_name: str, overrides: Sequence[str]) -> None:
    """Offer what the configuration of a command refers to and its overrides decide (``ibc.cli.app``)."""
    command = COMMANDS.get(config_name)
    if command is not None and command.prepare is not None:
        importlib.import_module(f"ibc.cli.{command.prepare}").prepare(overrides)


def at_least(config: Mapping[str, Any], section: str = "", /, **minima: int) -> None:
    """Check ranges of numbers of a command, or of one of its sections, where they are given.

    Raises:
        UserError: naming the key and what is allowed.
    """
    for key, minimum in minima.items():
        if config[key] is None:
            continue
        if config[key] < minimum:
            raise UserError(f"{section}{key}={config[key]}; it must be at least {minimum}")
        if key in ("seed", "first_seed") and config[key] > MAX_SEED:
            raise UserError(f"{key}={config[key]}; it must be at most {MAX_SEED}")


def seeds_of(config: Mapping[str, Any]) -> range:
    """The seeds of an evaluation's or a collection's resets.

    Raises:
        UserError: as :func:`at_least`.
    """
    at_least(config, num_episodes=1, num_envs=1, first_seed=0)
    at_least({"processes": 1, **config}, processes=1)
    return range(config["first_seed"], config["first_seed"] + config["num_episodes"])
