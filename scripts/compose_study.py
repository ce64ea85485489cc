"""Measure compositions of trained energies, case by case; write one result file and the images."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.composition.compose_study import compose_study
from benchmarks.config import main

if __name__ == "__main__":
    main(compose_study, "compose_study")
