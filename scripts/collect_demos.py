"""Store demonstrations of an environment's expert."""

from ibc.cli.collect import collect
from ibc.cli.config import main

if __name__ == "__main__":
    main(collect, "collect")
