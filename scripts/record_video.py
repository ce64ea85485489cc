"""Film a checkpoint."""

from ibc.cli.app import run

if __name__ == "__main__":
    run("record")
