"""Compare the folders of runs on a page."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.config import Config
from ibc.cli.paths import paths_of
from ibc.evaluation.run_comparison import read_run, write_comparison


def report(config: Config) -> None:
    """Write the file ``output``.

    Raises:
        UserError: fewer than two runs, or a folder that is not that of a finished run.
    """
    output = Path(config["output"]).expanduser()
    write_comparison(output, [read_run(path) for path in paths_of(config, "runs")])
    print(f"page: {output}")
