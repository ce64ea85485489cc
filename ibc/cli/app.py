"""The console command ``ibc``: one subcommand for each thing to do."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: The YAML files: inside the package where it is installed from a wheel, beside it in a clone of the repository.
CONFIG_DIR = next(p for p in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if p.is_dir())


@dataclass(frozen=True)
class Command:
    """A subcommand, run by the function of its name in the module of its name.

    Attributes:
        summary: one line.
        keys: the ones used most.
        prepare: module of ``ibc.cli`` whose ``prepare`` registers what the configuration refers to, if any.
        positional: keys whose values may be given in this order without the key.
        collects: a key whose list may be given value by value without the key.
        last: a key whose value may follow that list without the key.
    """

    summary: str
    keys: str = ""
    prepare: str | None = None
    positional: tuple[str, ...] = ()
    collects: str | None = None
    last: str | None = None


COMMANDS = {
    "train": Command(
        "Train a policy from demonstrations, evaluate it, film it and write a report.",
        "env, env.id, data.path, experiment, policy, name, seed, trainer.num_steps, action_horizon, resume",
        "d4rl",
    ),
    "evaluate": Command(
        "Evaluate a checkpoint in closed loop on held-out seeds.",
        "checkpoint, num_episodes, first_seed, output, sampler, compose",
        "act",
    ),
    "record": Command(
        "Record a video of a checkpoint in closed loop.",
        "checkpoint, output, seed, num_episodes, sampler, compose",
        "act",
    ),
    "collect": Command(
        "Collect demonstrations of an environment's expert.",
        "env, env.id, env.expert, data.path, num_episodes",
    ),
    "evaluate_expert": Command(
        "Evaluate an environment's expert.",
        "env, num_episodes, first_seed, output, film",
    ),
    "compare": Command(
        "Compare two policies on the same seeds: paired difference, interval, verdict.",
        "first, second, measure, num_episodes, margin, early_stop",
        positional=("first", "second"),
    ),
    "budget": Command(
        "Choose a checkpoint's search for a given time of a decision.",
        "checkpoint, ms, sampler, num_episodes, image, output",
        "act",
    ),
    "calibrate": Command(
        "Calibrate a detector of a checkpoint's unusual decisions, on demonstrations or its own successes.",
        "checkpoint, output, data.path, scores, false_alarms, num_episodes, sampler",
        "act",
    ),
    "serve": Command(
        "Serve a checkpoint's policy over WebSockets, to robots that have no torch.",
        "checkpoint, host, port, token, sampler, compose",
        "act",
    ),
    "export": Command(
        "Write a checkpoint's policy as ONNX graphs that act without torch, or as a folder for a hub.",
        "checkpoint, output, format, sampler",
        "act",
    ),
    "report": Command(
        "Compare runs on one page: curves, outcomes, paired differences, films.",
        "runs, output",
        collects="runs",
    ),
    "page": Command(
        "Write the energy of a checkpoint as one HTML file, to move, compose and search it in a browser.",
        "checkpoint, output",
    ),
    "convert": Command(
        "Write data sets of any format that is read as one in Minari's layout.",
        "source, output, obs_names, rename, image_size, crop",
        collects="source",
        last="output",
    ),
    "inspect": Command("Print what is in a data set and draw its actions."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``ibc COMMAND [key=value ...]``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        show(overview())
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


def show(text: str) -> None:
    """Print; a pipe that nobody reads any longer ends the program quietly, with 141."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def overview() -> str:
    """What ``ibc --help`` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = (f"  {name:{width}}{command.summary}" for name, command in COMMANDS.items())
    return "\n".join(
        [
            "ibc COMMAND [key=value ...]    implicit behavioral cloning\n",
            *lines,
            "\nibc COMMAND --help shows a command's keys.",
        ]
    )


def run(name: str) -> None:
    """Run one command with the arguments in ``sys.argv``."""
    if name != "inspect" and {"-h", "--help"} & set(sys.argv[1:]):
        show(help_of(name))
        return
    from ibc.cli import config

    sys.argv[1:] = name_positional(sys.argv[1:], COMMANDS[name].positional)
    if (key := COMMANDS[name].collects) is not None:
        sys.argv[1:] = collect_positional(sys.argv[1:], key, COMMANDS[name].last)
    job = getattr(importlib.import_module(f"ibc.cli.{name}"), name)
    if name == "inspect":
        with config.readable_errors():
            job(sys.argv[1:])
    else:
        from ibc.cli.sweep import Sweep

        config.main(job, name, sweep=Sweep(job) if name == "train" else None)


#: Hydra's options that a value follows.
OPTIONS = (
    "--cfg",
    "-c",
    "--config-dir",
    "-cd",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--package",
    "-p",
)


def name_positional(arguments: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Write arguments without a key as ``key='value'``, in the order of ``keys``."""
    waiting = list(keys)
    named = []
    for argument, before in zip(arguments, ["", *arguments], strict=False):
        if not waiting or before in OPTIONS or not is_value(argument):
            named.append(argument)
        else:
            named.append(f"{waiting.pop(0)}={_quoted(argument)}")
    return named


def collect_positional(arguments: Sequence[str], key: str, last: str | None = None) -> list[str]:
    """Write all arguments without a key as ``key=['value','value']``, but for one that stands for the ``last`` key."""
    plain: list[str] = []
    others: list[str] = []
    for argument, before in zip(arguments, ["", *arguments], strict=False):
        is_plain = before not in OPTIONS and is_value(argument)
        (plain if is_plain else others).append(argument)
    if len(plain) > 1 and last and not any(a.startswith(f"{last}=") for a in others):
        others.append(f"{last}={_quoted(plain.pop())}")
    return [*others, f"{key}=[{','.join(map(_quoted, plain))}]"] if plain else others


def is_value(argument: str) -> bool:
    """Whether it is given without a key; files and folders of a sweep have ``=`` in their names."""
    return not argument.startswith("-") and ("=" not in argument or Path(argument).exists())


def _quoted(value: str) -> str:
    """A value as Hydra reads it, whatever is in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def help_of(name: str) -> str:
    """What ``ibc COMMAND --help`` prints: what it does, the keys used most, the groups, then all keys."""
    lines = (CONFIG_DIR / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("  - override hydra/hydra_logging: none") + 1
    examples = (line.removeprefix("#   ") for line in lines if line.startswith("#   "))
    groups = [
        line.strip("- ").partition(":")[0]
        for line in lines[:start]
        if line.startswith("  - ") and "_" not in line.partition(":")[0] and "override" not in line
    ]
    if name in ("train", "collect", "evaluate_expert"):
        groups = sorted({*groups, "env"})
    if name == "train":
        groups += ["loss", "sampler"]
    options = {
        group: ", ".join(sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")))
        for group in groups
        if (CONFIG_DIR / group).is_dir()
    }
    return "\n".join(
        [
            f"{COMMANDS[name].summary}\n",
            *(f"  {example}" for example in examples),
            f"\nused most: {COMMANDS[name].keys}",
            *(["\ngroups (GROUP=OPTION):"] if options else []),
            *(f"  {group}: {names}" for group, names in options.items()),
            "\nkeys (KEY=VALUE, with their defaults):",
            *(f"  {line}" for line in lines[start:] if line.strip()),
            "\n-m runs a sweep (seed=0,1,2); --cfg job prints the configuration; "
            "--config-dir DIR adds your own YAML files.",
        ]
    )


if __name__ == "__main__":
    main()
