"""Print what is in a data set and draw its actions."""

import sys

from ibc.cli.config import readable_errors
from ibc.cli.inspect import inspect

if __name__ == "__main__":
    with readable_errors():
        inspect(sys.argv[1:])
