"""Evaluate a checkpoint in closed loop."""

from ibc.cli.config import main
from ibc.cli.evaluate import evaluate

if __name__ == "__main__":
    main(evaluate, "evaluate")
