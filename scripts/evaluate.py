"""Evaluate a checkpoint in closed loop."""

import envs  # noqa: F401  registers the environments
from ibc.app.evaluate import evaluate
from ibc.config import main

if __name__ == "__main__":
    main(evaluate, "evaluate")
