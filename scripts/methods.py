"""Train and evaluate every method on every task with the same time; write one result file."""

import envs  # noqa: F401  registers the environments
from ibc.app.methods import methods
from ibc.config import main

if __name__ == "__main__":
    main(methods, "methods")
