"""Write the tables of README and docs from results/*.json."""

from pathlib import Path

from ibc.app.tables import write_tables

if __name__ == "__main__":
    write_tables(Path(__file__).resolve().parents[1])
