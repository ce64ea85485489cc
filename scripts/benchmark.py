"""Time this project against a plain implementation of the same methods."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.config import main
from benchmarks.timing.benchmark import benchmark

if __name__ == "__main__":
    main(benchmark, "benchmark")
