"""Store demonstrations of an environment's expert."""

import envs  # noqa: F401  registers the environments
from ibc.app.demonstrations import collect
from ibc.config import main

if __name__ == "__main__":
    main(collect, "collect")
