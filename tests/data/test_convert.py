"""Data sets written again in Minari's layout: the same numbers, and an interruption loses nothing."""

import minari
import numpy as np
import pytest
from formats import ALL, LENGTHS, write_lerobot, write_lerobot_v3, write_robomimic
from replays import write_rlds

from ibc.data import read_episodes
from ibc.data.convert import convert_demonstrations
from ibc.data.kept_frames import Cameras
from ibc.data.request import Request
from ibc.data.store import DemonstrationWriter
from ibc.errors import UserError


def test_numbers_pictures_and_texts(tmp_path):
    out = tmp_path / "out"
    request = Request(rename={"observation/rgb": "front"})
    assert convert_demonstrations([write_rlds(tmp_path)], out, request) == len(LENGTHS)
    first = read_episodes(tmp_path / "arm", request)
    for one, other, e in zip(first, read_episodes(out), ALL, strict=True):
        np.testing.assert_array_equal(other.action, e["action"])
        np.testing.assert_array_equal(other.obs["state"], e["obs"])
        np.testing.assert_array_equal(np.asarray(other.obs["front"]), np.asarray(one.obs["front"]))
        assert other.text == {"language_instruction": "lift it"}
        assert other.terminated


def test_minari_opens_it_with_smaller_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    cameras = Cameras(image_size={"images/top": (4, 8)}, crop={"images/wrist": (0, 0, 6, 6)})
    convert_demonstrations([write_lerobot(tmp_path)], tmp_path / "out-v0", cameras=cameras)
    dataset = minari.load_dataset("out-v0")
    assert dataset.total_steps == sum(LENGTHS)
    for one, e in zip(dataset.iterate_episodes(), ALL, strict=True):
        np.testing.assert_array_equal(one.actions, e["action"])
        assert one.observations["images"]["top"].shape[1:] == (4, 8, 3)
        wrist = one.observations["images"]["wrist"][:-1]
        np.testing.assert_array_equal(wrist, e["image"][:-1, :6, :6])


def test_an_interrupted_one_goes_on(tmp_path, monkeypatch):
    path, out = write_robomimic(tmp_path), tmp_path / "out"
    append, written = DemonstrationWriter.append, []

    def once(self, episode):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(episode)
        append(self, episode)

    monkeypatch.setattr(DemonstrationWriter, "append", once)
    with pytest.raises(KeyboardInterrupt):
        convert_demonstrations([path], out)
    assert not out.exists()
    monkeypatch.setattr(DemonstrationWriter, "append", append)
    assert convert_demonstrations([path], out) == len(LENGTHS)
    for one, e in zip(read_episodes(out), ALL, strict=True):
        np.testing.assert_array_equal(one.action, e["action"])
        np.testing.assert_array_equal(np.asarray(one.obs["agentview_image"]), e["image"])


def test_a_path_in_use(tmp_path):
    path = write_robomimic(tmp_path)
    with pytest.raises(UserError, match="exists already"):
        convert_demonstrations([path], path)


def test_a_folder_inside_of_the_data_would_change_it(tmp_path):
    path = write_lerobot(tmp_path, camera=False)
    with pytest.raises(UserError, match="is inside of .*; choose a folder beside it"):
        convert_demonstrations([path], path / "converted")
    assert not (path / "converted.partial").exists()


def test_other_entries_of_a_vector_are_another_conversion(tmp_path, monkeypatch):
    path, out = write_robomimic(tmp_path), tmp_path / "out"

    def request(part):
        return Request(obs_names=["x"], rename={f"robot0_eef_pos[{part}]": "x"})

    append = DemonstrationWriter.append

    def once(self, episode):
        append(self, episode)
        raise KeyboardInterrupt

    monkeypatch.setattr(DemonstrationWriter, "append", once)
    with pytest.raises(KeyboardInterrupt):
        convert_demonstrations([path], out, request("0:2"))
    monkeypatch.setattr(DemonstrationWriter, "append", append)
    convert_demonstrations([path], out, request("1:3"))
    for one, e in zip(read_episodes(out), ALL, strict=True):
        np.testing.assert_array_equal(one.obs["x"], e["obs"][:, 1:3])


def test_several_become_one(tmp_path):
    roots = [tmp_path / "monday", tmp_path / "tuesday"]
    for root in roots:
        root.mkdir()
    paths = [write_lerobot(roots[0]), write_lerobot_v3(roots[1])]
    out, cameras = tmp_path / "out", Cameras(image_size=(4, 8))
    assert convert_demonstrations(paths, out, cameras=cameras) == 2 * len(LENGTHS)
    for one, e in zip(read_episodes(out), [*ALL, *ALL], strict=True):
        np.testing.assert_array_equal(one.action, e["action"])
        assert one.obs["images/wrist"].shape[1:] == (4, 8, 3)


def test_what_differs_from_the_first_is_refused_before_anything_is_written(tmp_path):
    paths = [write_lerobot(tmp_path, camera=False), write_robomimic(tmp_path)]
    with pytest.raises(
        UserError, match=r"v141.hdf5 has .*agentview_image.*, .*lerobot has .*state"
    ):
        convert_demonstrations(paths, tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


def test_a_length_of_episodes_is_for_what_does_not_tell(tmp_path):
    with pytest.raises(UserError, match="episode_length is for D4RL files"):
        next(read_episodes(write_robomimic(tmp_path), Request(episode_length=5)))
