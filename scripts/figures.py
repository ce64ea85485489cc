"""Train on the toys of the paper; write their results and images."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.config import main
from benchmarks.toys.figures import figures

if __name__ == "__main__":
    main(figures, "figures")
