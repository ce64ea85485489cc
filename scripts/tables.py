"""Write the tables of README and docs from results/*.json."""

from pathlib import Path

from ibc.app.tables.pages import write_tables
from ibc.config import readable_errors

if __name__ == "__main__":
    with readable_errors():
        write_tables(Path(__file__).resolve().parents[1])
