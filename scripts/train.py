"""Train a policy from demonstrations, evaluate it, film it and write a report."""

import envs  # noqa: F401  registers the environments
from ibc.app.train import train
from ibc.config import main

if __name__ == "__main__":
    main(train, "train")
