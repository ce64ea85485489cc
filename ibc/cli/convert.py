"""Write data sets of any format that is read as one in Minari's layout."""

from __future__ import annotations

from pathlib import Path

from ibc.cli.config import Config
from ibc.cli.paths import paths_of
from ibc.data.convert import convert_demonstrations
from ibc.data.kept_frames import Cameras
from ibc.data.request import Request


def convert(config: Config) -> None:
    """Write what is wanted of ``source`` to ``output``."""
    output = Path(config["output"]).expanduser()
    count = convert_demonstrations(
        paths_of(config, "source"),
        output,
        Request(
            obs_names=config["obs_names"],
            rename=config["rename"] or {},
            episode_length=config["episode_length"],
        ),
        Cameras(crop=config["crop"], image_size=config["image_size"]),
    )
    print(f"{count} episode{'s' * (count != 1)}: {output}")
