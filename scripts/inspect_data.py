"""Print what is in a data set and draw its actions."""

from ibc.cli.app import run

if __name__ == "__main__":
    run("inspect")
