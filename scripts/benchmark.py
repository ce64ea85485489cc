"""Time this project against a plain implementation of the same methods."""

import envs  # noqa: F401  registers the environments
from ibc.app.benchmark import benchmark
from ibc.config import main

if __name__ == "__main__":
    main(benchmark, "benchmark")
