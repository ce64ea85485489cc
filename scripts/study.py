"""Train and evaluate several policies with several seeds; write one result file."""

import envs  # noqa: F401  registers the environments
from ibc.app.study import study
from ibc.config import main

if __name__ == "__main__":
    main(study, "study")
