"""Configuration of the benchmark commands: their YAML files, over those of the project, and the types of their keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from ibc.cli import config as project
from ibc.cli.config import Config
from ibc.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parent / "configs"


@dataclass
class Study:
    """Keys of ``study.yaml``."""

    name: str
    policies: list[str]
    seeds: list[int]
    overrides: list[str]
    output: str
    pretrained: str | None
    tasks: dict[str, list[str]] = field(default_factory=dict)
    experiments: list[str] = field(default_factory=list)
    published: dict[str, dict[str, float]] = field(default_factory=dict)
    protocol_name: str | None = None


@dataclass
class Methods:
    """Keys of ``methods.yaml``."""

    suite: str
    seconds: int | None
    seeds: list[int]
    more_seeds: list[int]
    best: list[str]
    only_tasks: list[str] | None
    only_methods: list[str] | None
    overrides: list[str]
    run_dir: str
    output: str
    tasks: dict[str, list[str]]
    methods: dict[str, list[str]]


@dataclass
class Figures:
    """Keys of ``figures.yaml``."""

    only: list[str]
    steps: dict[str, int]
    counts: list[int]
    seed: int
    images: str
    results: str


@dataclass
class Benchmark:
    """Keys of ``benchmark.yaml``."""

    beside: int
    processes: int
    repeats: int
    device: str
    precision: str
    plain: str
    output: str
    rows: list[str] | None = None


@dataclass
class ComposeStudy:
    """Keys of ``compose_study.yaml``."""

    num_episodes: int
    first_seed: int
    pretrained: str
    images: str
    output: str
    device: str
    precision: str
    cases: list[str] | None = None


for _name, _schema in {
    "study": Study, "methods": Methods, "figures": Figures, "benchmark": Benchmark,
    "compose_study": ComposeStudy,
}.items():  # fmt: skip
    ConfigStore.instance().store(f"{_name}_schema", _schema)


def main(job: Callable[[Config], None], name: str) -> None:
    """Run a command with Hydra's overrides; see :func:`ibc.cli.config.main`."""
    project.main(job, name, config_dir=CONFIG_DIR)


def compose(name: str, overrides: Sequence[str]) -> Config:
    """The configuration of a benchmark command, or of ``train`` and others with the studies' own groups added."""
    return project.compose(name, overrides, config_dir=CONFIG_DIR)


def select(every: Mapping[str, Any], names: Sequence[str] | None, key: str) -> dict[str, Any]:
    """The entries that ``key=[...]`` names, in the order of ``every``; all of them for None.

    Raises:
        UserError: a name that is not there.
    """
    unknown = [name for name in names or () if name not in every]
    if unknown:
        raise UserError(f"{key} has {', '.join(unknown)}; allowed: {', '.join(every)}")
    return {name: value for name, value in every.items() if names is None or name in names}
