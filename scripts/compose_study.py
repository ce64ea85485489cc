"""Measure compositions of trained energies, case by case; write one result file and the pictures."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.composition.study import compose_study
from ibc.cli.config import main

if __name__ == "__main__":
    main(compose_study, "compose_study")
