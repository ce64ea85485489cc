"""Files of format 1 are read, and a change of today's formats is noticed."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from commands import assert_refused
from conftest import ROOT

import ibc
from ibc.data import read_episodes
from ibc.evaluation.compare import compare_evaluations

OLD = ROOT / "tests/format_1"
#: What today's files hold, by name and kind. Where this differs, say so by a new format version, and convert old files.
TODAY = json.loads((ROOT / "tests/reference/formats.json").read_text())


def structure(node):
    """Names and kinds of what a file holds, without its values."""
    if isinstance(node, dict):
        return {
            str(key): sorted(value) if key == "about" else structure(value)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [structure(node[0])] if node else []
    return "number" if type(node) in (int, float) else type(node).__name__


def layout(path):
    """Datasets of an HDF5 file with their kinds and dimensions, and the names of attributes."""
    found = {}
    with h5py.File(path) as file:
        found["attributes"] = sorted(file.attrs)
        first = file[min(file)]
        found["attributes of an episode"] = sorted(first.attrs)
        first.visititems(
            lambda name, item: (
                found.update({name: [item.dtype.name, item.ndim]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


class TestFormat1:
    def test_a_checkpoint_acts(self):
        policy = ibc.load_policy(OLD / "checkpoint.pt")
        raw = torch.load(OLD / "checkpoint.pt", weights_only=True)
        assert raw["format_version"] == 1
        weights = policy.state_dict()
        assert any(
            torch.equal(value, weights.get(key, value[:0])) for key, value in raw["policy"].items()
        )
        controller = ibc.Controller(policy)
        controller.reset(seed=0)
        obs = {name: np.full(2, 0.5, np.float32) for name in policy.spec.obs}
        assert np.isfinite(controller.step(obs)).all()

    def test_demonstrations_are_read(self):
        episodes = list(read_episodes(OLD / "demos"))
        assert len(episodes) == 3
        assert {len(episode) for episode in episodes} == {50}
        assert all(np.isfinite(episode.action).all() for episode in episodes)

    def test_evaluations_are_compared(self):
        metrics = json.loads((OLD / "evaluation.json").read_text())
        assert compare_evaluations([metrics], [metrics], "return").difference == 0

    def test_a_run_is_not_continued_by_other_code_and_says_so(self, tmp_path, cli):
        shutil.copytree(OLD, tmp_path / "run")
        result = cli(
            "train", "experiment=particle_2d", "resume=true", f"run_dir={tmp_path}/run",
            f"data.path={OLD}/demos", "network.width=8", "network.num_blocks=1", "encoder.num_gates=0",
            "data.num_episodes=3", "video=false",
        )  # fmt: skip
        assert_refused(result, "begun with other settings")


@pytest.mark.unchecked
def test_todays_files_have_the_formats_that_are_written_down(trained):
    raw = torch.load(trained / "run/checkpoint.pt", weights_only=True)
    raw["weights"] = dict.fromkeys(sorted(raw["weights"]), "tensor")
    line = (trained / "run/metrics.jsonl").read_text().splitlines()[-1]
    recording = next(trained.rglob("*.hdf5"))
    of_code = ("config", "trainer")  # of the command and the loss
    found = {
        "checkpoint": structure({key: raw[key] for key in raw if key not in of_code}),
        "training state": sorted(raw["trainer"]),
        "evaluation": structure(json.loads((trained / "run/evaluation.json").read_text())),
        "metrics": structure(json.loads(line)),
        "demonstrations": layout(recording),
    }
    assert found == TODAY
