"""Train on the small problems of the paper; write their pictures and results."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.toys.problems import small_problems
from ibc.cli.config import main

if __name__ == "__main__":
    main(small_problems, "figures")
