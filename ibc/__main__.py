"""``python -m ibc`` is the console command ``ibc``."""

from ibc.cli.app import main

if __name__ == "__main__":
    main()
