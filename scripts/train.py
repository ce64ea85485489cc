"""Train a policy from demonstrations, evaluate it, film it and write a report."""

from ibc.cli.app import run

if __name__ == "__main__":
    run("train")
