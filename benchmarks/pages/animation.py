"""The moving picture of the README: policies of pretrained/ in closed loop, side by side.

python -m benchmarks.pages.animation docs/pictures/robots.webp
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ibc.checkpoint import load_checkpoint
from ibc.control import Controller
from ibc.device import configure_device
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.evaluation.rollout import rollout
from ibc.evaluation.video import Frame
from ibc.files import write_atomically
from ibc.policies import load_policy

#: Frames of the picture, how many of them a second, and how many of the last show the end of every episode.
FRAMES, FPS, STILL = 84, 12, 12
#: Of one panel, in pixels: its picture, and the line above it.
WIDTH, HEIGHT, LINE = 280, 224, 24
COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """An episode of a policy.

    Attributes:
        checkpoint: a file of pretrained/.
        title: written above it.
        seed: of the reset.
        crop: the part of the frame that is shown, as shares: top, bottom, left, right.
        env: keys of the environment that differ from those of training.
    """

    checkpoint: str
    title: str
    seed: int
    crop: tuple[float, float, float, float] = (0, 1, 0, 1)
    env: dict[str, Any] = field(default_factory=dict)


PANELS = (
    Panel("block_push_discontinuous_states", "two targets in order", 100_001, env={"arm": "xarm"}),
    Panel("block_sort_states", "sort by color", 100_003, env={"arm": "xarm"}),
    Panel("door_human", "open a door", 100_000, crop=(0, 0.8, 0.1, 0.9)),
    Panel("bimanual_sweep_image", "fill two bowls", 100_000),
    Panel("planar_sweep_image", "sweep into a zone", 100_000),
    Panel("push_t_states", "Push-T", 100_003),
)


def episode(panel: Panel) -> tuple[list[Frame], float, bool]:
    """Frames of the episode, how many of them are a second, and whether it succeeded."""
    path = Path("pretrained") / f"{panel.checkpoint}.pt"
    settings = load_checkpoint(path).config
    environment = Environment(EnvConfig.from_mapping(settings["env"] | panel.env), render=True)
    controller = Controller(load_policy(path), num_execute_steps=settings.get("num_execute_steps"))
    frames: list[Frame] = []
    (done,) = rollout(
        [environment], controller, [panel.seed], on_step=lambda e: frames.append(e.render())
    )
    fps = environment.fps
    environment.close()
    return frames, fps, bool(done.success.any())


def shown(frames: Sequence[Frame], fps: float, panel: Panel) -> list[Frame]:
    """As many frames as the picture has, at a whole multiple of real time, below a title that says which."""
    moving = FRAMES - STILL
    speed = max(1, int(np.ceil(len(frames) / fps * FPS / moving)))
    index = (np.arange(FRAMES) * speed * fps / FPS).astype(int).clip(max=len(frames) - 1)
    title = panel.title + (f"  ({speed} x speed)" if speed > 1 else "")
    return [_tile(frames[i], panel.crop, title) for i in index]


def _tile(frame: Frame, crop: tuple[float, float, float, float], title: str) -> Frame:
    height, width = frame.shape[:2]
    top, bottom, left, right = crop
    part = frame[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    scale = max(HEIGHT / part.shape[0], WIDTH / part.shape[1])
    size = (round(part.shape[1] * scale), round(part.shape[0] * scale))
    part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    row, column = (part.shape[0] - HEIGHT) // 2, (part.shape[1] - WIDTH) // 2
    tile = np.full((LINE + HEIGHT, WIDTH, 3), 255, np.uint8)
    tile[LINE:] = part[row : row + HEIGHT, column : column + WIDTH]
    cv2.putText(tile, title, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return np.ascontiguousarray(np.pad(tile, ((2, 2), (2, 2), (0, 0)), constant_values=255))


def write_animation(path: Path, quality: int = 75) -> None:
    """Run every panel's episode and write all of them as one animated WebP."""
    configure_device("cpu", "float32")
    panels = []
    for panel in PANELS:
        frames, fps, success = episode(panel)
        print(f"{panel.checkpoint}: {len(frames)} frames, {'success' if success else 'failure'}")
        panels.append(shown(frames, fps, panel))
    rows = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    images = [
        Image.fromarray(np.vstack([np.hstack([panel[t] for panel in row]) for row in rows]))
        for t in range(FRAMES)
    ]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "WEBP", save_all=True, append_images=images[1:], duration=1000 // FPS, loop=0,
        quality=quality, method=6,
    )  # fmt: skip
    write_atomically(path, buffer.getvalue())
    print(f"{path}: {len(buffer.getvalue()) / 1e6:.1f} MB")


if __name__ == "__main__":
    write_animation(Path(sys.argv[1]))
