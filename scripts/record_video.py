"""Film a checkpoint."""

import envs  # noqa: F401  registers the environments
from ibc.app.record import record
from ibc.config import main

if __name__ == "__main__":
    main(record, "record")
