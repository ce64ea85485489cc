"""The console command ``ibc``: one subcommand for each thing to do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        summary: one line.
        module: of ``ibc.cli``, in which a function of the command's name runs it.
        prepare: module of ``ibc.cli`` whose ``prepare`` registers what the configuration refers to, if any.
        keys: the ones used most.
        positional: keys whose values may be given in this order without the key.
    """

    summary: str
    module: str
    prepare: str | None = None
    keys: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()


COMMANDS = {
    "train": Command(
        "Train a policy from demonstrations, evaluate it, film it and write a report.",
        "train",
        "d4rl",
        (
            "env",
            "env.id",
            "data.path",
            "experiment",
            "policy",
            "name",
            "seed",
            "trainer.num_steps",
            "action_horizon",
            "resume",
        ),
    ),
    "evaluate": Command(
        "Evaluate a checkpoint in closed loop on held-out seeds.",
        "evaluate",
        "act",
        ("checkpoint", "num_episodes", "first_seed", "output", "sampler", "compose"),
    ),
    "record": Command(
        "Record a video of a checkpoint in closed loop.",
        "record",
        "act",
        ("checkpoint", "output", "seed", "num_episodes", "sampler", "compose"),
    ),
    "collect": Command(
        "Collect demonstrations of an environment's expert.",
        "collect",
        None,
        ("env", "env.id", "env.expert", "data.path", "num_episodes"),
    ),
    "evaluate_expert": Command(
        "Evaluate an environment's expert.",
        "evaluate_expert",
        None,
        ("env", "num_episodes", "first_seed", "output"),
    ),
    "compare": Command(
        "Compare two policies on the same seeds: paired difference, interval, verdict.",
        "compare",
        None,
        ("first", "second", "measure", "num_episodes", "margin", "early_stop"),
        ("first", "second"),
    ),
    "budget": Command(
        "Choose a checkpoint's search for a given time of a decision.",
        "budget",
        "act",
        ("checkpoint", "ms", "sampler", "num_episodes", "image", "output"),
    ),
    "inspect": Command("Print what is in a data set and draw its actions.", "inspect"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``ibc COMMAND [key=value ...]``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0 if given else 2)
    if given[0] == "--version":
        import ibc

        print(ibc.__version__)
        return
    if given[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(given[0], COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        print(f"error: there is no command '{given[0]}'; {hint}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"ibc {given[0]}", *given[1:]]
    run(given[0])


def overview() -> str:
    """What ``ibc --help`` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "ibc COMMAND [key=value ...]    implicit behavioral cloning",
            "",
            *lines,
            "",
            "ibc COMMAND --help shows a command's keys.",
        ]
    )


def run(name: str) -> None:
    """Run one command with the arguments in ``sys.argv``."""
    command = COMMANDS[name]
    if name == "inspect":
        from ibc.cli.config import readable_errors
        from ibc.cli.inspect import inspect

        with readable_errors():
            inspect(sys.argv[1:])
        return
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_of(name))
        return
    sys.argv[1:] = name_positional(sys.argv[1:], command.positional)
    from ibc.cli.config import main as hydra_main

    job = getattr(importlib.import_module(f"ibc.cli.{command.module}"), name)
    hydra_main(job, name)


def name_positional(arguments: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Write arguments without a key as ``key='value'``, in the order of ``keys``."""
    waiting = list(keys)
    named = []
    for argument in arguments:
        if not waiting or argument.startswith("-") or "=" in argument:
            named.append(argument)
        else:
            escaped = argument.replace("\\", "\\\\").replace("'", "\\'")
            named.append(f"{waiting.pop(0)}='{escaped}'")
    return named


def help_of(name: str) -> str:
    """What ``ibc COMMAND --help`` prints: what it does, the keys used most, the groups, then all keys."""
    command = COMMANDS[name]
    folder = _config_dir()
    lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    examples = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    start = lines.index("  - override hydra/hydra_logging: none") + 1
    body = [line for line in lines[start:] if line.strip()]
    groups = [
        line.strip("- ").partition(":")[0]
        for line in lines[:start]
        if line.startswith("  - ") and "_" not in line.partition(":")[0] and "override" not in line
    ]
    if name in ("train", "collect", "evaluate_expert"):
        groups = sorted({*groups, "env"})
    options = {
        group: ", ".join(sorted(path.stem for path in (folder / group).glob("*.yaml")))
        for group in [
            *groups,
            *(["loss"] if name == "train" else []),
            *(["sampler"] if name == "train" else []),
        ]
        if (folder / group).is_dir()
    }
    return "\n".join(
        [
            command.summary,
            "",
            *(f"  {example}" for example in examples),
            "",
            f"used most: {', '.join(command.keys)}",
            "",
            *(["groups (GROUP=OPTION):"] if options else []),
            *(f"  {group}: {names}" for group, names in options.items()),
            *([""] if options else []),
            "keys (KEY=VALUE, with their defaults):",
            *(f"  {line}" for line in body),
            "",
            "-m runs a sweep (seed=0,1,2); --cfg job prints the configuration; --config-dir DIR adds your own YAML files.",
        ]
    )


def _config_dir() -> Path:
    package = Path(__file__).resolve().parents[1]
    return next(p for p in (package / "configs", package.parent / "configs") if p.is_dir())


if __name__ == "__main__":
    main()
