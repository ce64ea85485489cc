"""Train and evaluate several policies with several seeds; write one result file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.config import main
from benchmarks.study import study

if __name__ == "__main__":
    main(study, "study")
