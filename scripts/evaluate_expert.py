"""Evaluate an environment's expert."""

from ibc.cli.app import run

if __name__ == "__main__":
    run("evaluate_expert")
