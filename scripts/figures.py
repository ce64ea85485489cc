"""Train on the small problems of the paper; write their pictures and results."""

from ibc.app.small.problems import small_problems
from ibc.config import main

if __name__ == "__main__":
    main(small_problems, "figures")
