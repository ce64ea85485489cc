"""Train and evaluate every method on every task with the same time; write one result file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.config import main
from benchmarks.methods import methods

if __name__ == "__main__":
    main(methods, "methods")
