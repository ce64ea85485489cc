"""Evaluate a checkpoint in closed loop."""

from ibc.cli.app import run

if __name__ == "__main__":
    run("evaluate")
