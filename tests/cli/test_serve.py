"""The command of a policy server with a detector, as far as it is refused; tests/control/test_robot_loop.py runs it."""

import numpy as np
import pytest
import torch
from commands import assert_refused
from conftest import ROOT

from ibc import Detector
from ibc.detection import Elapsed, NearestNeighbors

CHECKPOINT = f"checkpoint={ROOT}/pretrained/particle_2d.pt"


def save_detector(path, score):
    zeros = np.zeros((1, 1))
    Detector([score], zeros, zeros + 1, np.arange(19.0)).save(path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["detector=nowhere.npz"], "no detector at nowhere.npz"),
        (["detector=damaged.npz"], "is not a detector"),
        (["detector=other.npz"], "calibrated on 3 features; this policy has"),
        (["on_doubt=stop"], "on_doubt needs a detector"),
        (["detector=clock.npz", "on_doubt=flee"], "allowed: stop, search"),
        (["detector=[clock.npz]"], "detector"),
    ],
)
def test_what_cannot_judge_is_refused(cli, tmp_path, overrides, message):
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    other = NearestNeighbors()
    other.fit(torch.randn(9, 3), torch.ones(9))
    save_detector(tmp_path / "other.npz", other)
    save_detector(tmp_path / "clock.npz", Elapsed())
    assert_refused(cli("serve", CHECKPOINT, "port=0", *overrides), message)
