"""Print what is in a data set and draw its actions."""

import sys

from ibc.app.inspect import inspect
from ibc.config import readable_errors

if __name__ == "__main__":
    with readable_errors():
        inspect(sys.argv[1:])
