"""Film a checkpoint."""

from ibc.cli.config import main
from ibc.cli.record import record

if __name__ == "__main__":
    main(record, "record")
