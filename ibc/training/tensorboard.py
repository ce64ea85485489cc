"""Metrics for TensorBoard."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import imageio.v2 as imageio

from ibc.errors import UserError
from ibc.training.loggers import Logger


class TensorboardLogger(Logger):
    """Files of events in ``tensorboard/`` of the run folder; a continued run adds to them.

    Args:
        run_dir: the run folder.
        config: shown as text.
        resume_step: values of an earlier attempt at or beyond this step are no longer shown.

    Raises:
        UserError: the extra is missing.
    """

    def __init__(self, run_dir: Path, config: dict[str, Any], resume_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "logger=tensorboard needs the extra: pip install -e '.[tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(run_dir / "tensorboard"), purge_step=resume_step)
        self._writer.add_text("config", f"```\n{json.dumps(config, indent=1, default=str)}\n```")

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See :class:`Logger`."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def film(self, step: int, path: Path) -> None:
        """See :class:`Logger`; as a moving picture."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        reader: Any = imageio.get_reader(path)
        with reader:
            fps = reader.get_meta_data()["fps"]
            frames = [frame[::2, ::2] for frame in reader]
        buffer = io.BytesIO()
        imageio.mimwrite(buffer, frames[::2], format="gif", duration=2000 / fps, loop=0)
        height, width = frames[0].shape[:2]
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=buffer.getvalue()
        )
        summary = Summary(value=[Summary.Value(tag="film", image=image)])
        self._writer._get_file_writer().add_summary(summary, step)

    def close(self) -> None:
        """See :class:`Logger`."""
        self._writer.close()
