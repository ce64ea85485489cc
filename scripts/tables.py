"""Write the tables of README and docs from results/*.json."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tables.pages import write_tables
from ibc.cli.config import readable_errors

if __name__ == "__main__":
    with readable_errors():
        write_tables(Path(__file__).resolve().parents[1])
