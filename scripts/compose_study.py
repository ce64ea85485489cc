"""Measure compositions of trained energies, case by case; write one result file and the pictures."""

import envs  # noqa: F401  registers the environments
from ibc.app.composition.study import compose_study
from ibc.config import main

if __name__ == "__main__":
    main(compose_study, "compose_study")
