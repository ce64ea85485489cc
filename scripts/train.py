"""Train a policy from demonstrations, evaluate it, film it and write a report."""

from ibc.cli.config import main
from ibc.cli.train import train

if __name__ == "__main__":
    main(train, "train")
