"""Evaluate an environment's expert."""

import envs  # noqa: F401  registers the environments
from ibc.app.expert import evaluate_expert
from ibc.config import main

if __name__ == "__main__":
    main(evaluate_expert, "evaluate_expert")
