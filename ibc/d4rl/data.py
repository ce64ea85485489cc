"""Where the data of a task is, on this machine or on Minari's server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ibc.d4rl import Task, find_task
from ibc.errors import NoDataError


def find_task_data(name: str, search: Sequence[str]) -> Path:
    """The data set of a task: the original file in a ``search`` folder, else Minari's, downloaded if need be.

    Raises:
        NoDataError: it is nowhere and cannot be downloaded; in one line where to get it and where to put it.
    """
    task = find_task(name)
    folders = [Path(folder).expanduser() for folder in search]
    for file in task.files:
        for folder in folders:
            if (folder / file).is_file():
                return folder / file
    local = _in_minari(task)
    if local is not None:
        return local
    failure = _download(task)
    local = _in_minari(task)
    if local is not None:
        return local
    put = os.environ.get("D4RL_DATASET_DIR", "~/.d4rl/datasets")
    by_hand = f"get {task.url} and put it into {put} ($D4RL_DATASET_DIR)" if task.files else ""
    by_minari = f"'minari download {task.minari}' where there is a network" if task.minari else ""
    raise NoDataError(
        f"no data for {name}: {' or '.join(task.files) or 'nothing'} in {', '.join(map(str, folders))}, "
        f"{failure}; {' or '.join(filter(None, (by_hand, by_minari)))}"
    )


def _in_minari(task: Task) -> Path | None:
    """Minari's copy on this machine: the version asked for, else the newest."""
    if task.minari is None:
        return None
    root = Path(os.environ.get("MINARI_DATASETS_PATH", "~/.minari/datasets")).expanduser()
    asked = root / task.minari
    stem, _, _ = task.minari.rpartition("-v")
    others = [p for p in root.glob(f"{stem}-v*") if p.name.rpartition("-v")[2].isdecimal()]
    newest = sorted(others, key=lambda p: int(p.name.rpartition("-v")[2]), reverse=True)
    return next((p for p in (asked, *newest) if (p / "data").is_dir()), None)


def _download(task: Task) -> str:
    """Ask Minari for the data set; returns what went wrong, in words."""
    if task.minari is None:
        return "and Minari does not have it"
    import minari

    print(f"downloading {task.minari} with Minari")
    try:
        minari.download_dataset(task.minari)
    except Exception as error:  # network, server and missing packages fail with types of their own
        reason = " ".join(str(error).split())[:160]
        return f"and Minari could not download {task.minari} ({type(error).__name__}: {reason})"
    return "and Minari's download left nothing"
