"""What TensorBoard is given, by a stand-in with its interface where it is not installed."""

import sys
import types
from collections import namedtuple

import imageio.v2 as imageio
import numpy as np
import pytest

from ibc.cli.train_loop import log_result
from ibc.errors import UserError
from ibc.training.tensorboard import TensorboardLogger


@pytest.fixture
def given(monkeypatch):
    """Everything that the stand-in has been given, in order."""
    found = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            found.append(("folder", folder, purge_step))

        def add_scalar(self, name, value, step):
            found.append((name, value, step))

        def add_text(self, name, text):
            found.append((name, text))

        def _get_file_writer(self):
            return self

        def add_summary(self, summary, step):
            found.append((summary.value[0].tag, summary.value[0].image, step))

        def close(self):
            found.append(("closed",))

    proto = types.ModuleType("tensorboard.compat.proto.summary_pb2")
    proto.Summary = namedtuple("Summary", "value")
    proto.Summary.Value = namedtuple("Value", "tag image")
    proto.Summary.Image = namedtuple("Image", "height width colorspace encoded_image_string")
    writer = types.ModuleType("torch.utils.tensorboard")
    writer.SummaryWriter = SummaryWriter
    for name in ("tensorboard", "tensorboard.compat", "tensorboard.compat.proto"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, proto.__name__, proto)
    monkeypatch.setitem(sys.modules, writer.__name__, writer)
    return found


def test_measures_film_and_configuration(given, tmp_path):
    with imageio.get_writer(tmp_path / "video.mp4", fps=10) as film:
        for value in range(0, 240, 20):
            film.append_data(np.full((32, 48, 3), value, np.uint8))
    metrics = {"success_rate": 0.5, "return_mean": 2.0, "held_out": {"loss": 1.0, "note": "x"}}
    log_result(tmp_path, {"logger": "tensorboard"}, 7, metrics, tmp_path / "video.mp4")
    assert given[0] == ("folder", str(tmp_path / "tensorboard"), 7)
    assert given[1][0] == "config"
    scalars = [("closed_loop/success_rate", 0.5, 7), ("closed_loop/return", 2.0, 7)]
    assert given[2:5] == [*scalars, ("held_out/loss", 1.0, 7)]
    tag, image, step = given[5]
    assert (tag, step, image.height, image.width) == ("film", 7, 16, 24)
    assert image.encoded_image_string[:3] == b"GIF"
    assert given[6] == ("closed",)


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"\.\[tensorboard\]"):
        TensorboardLogger(tmp_path, {}, 0)
