"""Evaluate an environment's expert."""

from ibc.cli.config import main
from ibc.cli.evaluate_expert import evaluate_expert

if __name__ == "__main__":
    main(evaluate_expert, "evaluate_expert")
