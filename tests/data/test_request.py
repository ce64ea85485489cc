"""What is asked for is read, by the names that are wanted; all else may be missing, damaged or text."""

import json

import h5py
import numpy as np
import pytest
from formats import (
    ALL,
    LENGTHS,
    write_d4rl,
    write_lerobot,
    write_minari,
    write_minari_arrow,
    write_robomimic,
    write_tfrecord,
)
from replays import write_rlds

from ibc.data import read_episodes
from ibc.data.request import Request
from ibc.errors import UserError

STATE = {
    write_lerobot: "observation.state",
    write_robomimic: "robot0_eef_pos",
    write_minari: "state",
    write_minari_arrow: "arm/q",
    write_d4rl: "observations",
}


@pytest.mark.parametrize("write", STATE)
def test_one_observation_by_another_name(write, tmp_path):
    request = Request(obs_names=["pose"], rename={STATE[write]: "pose"})
    for episode, e in zip(read_episodes(write(tmp_path), request), ALL, strict=True):
        assert set(episode.obs) == {"pose"}
        np.testing.assert_array_equal(episode.obs["pose"][:-1], e["obs"][:-1])


@pytest.mark.parametrize(
    ("write", "name", "where"),
    [
        (write_d4rl, "terminals", np.zeros),
        (write_minari, "terminations", np.zeros),
        (write_minari_arrow, "terminations", np.zeros),
        (write_tfrecord, "discount", lambda steps: 1 - np.eye(steps)[-1]),
    ],
)
def test_a_reward_by_another_name(write, name, where, tmp_path):
    for episode in read_episodes(write(tmp_path), Request(rename={name: "reward"})):
        np.testing.assert_array_equal(episode.reward, where(len(episode)))


@pytest.mark.parametrize(
    ("write", "name", "where"),
    [
        (write_d4rl, "timeouts", lambda steps: np.eye(steps)[-1]),
        (write_minari, "truncations", lambda steps: np.eye(steps)[-1]),
        (write_minari_arrow, "terminations", np.zeros),
        (write_tfrecord, "discount", lambda steps: 1 - np.eye(steps)[-1]),
        (write_rlds, "reward", lambda steps: np.eye(steps)[-1]),
        (write_robomimic, "solved", np.ones),
    ],
)
def test_success_by_another_name(write, name, where, tmp_path):
    path = write(tmp_path)
    if write is write_robomimic:
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():
                demo[name] = np.ones(len(demo["actions"]))
    for episode in read_episodes(path, Request(rename={name: "success"})):
        np.testing.assert_array_equal(episode.success, where(len(episode)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"obs_names": []}, "data.obs_names is empty; there are state"),
        ({"obs_names": "state"}, "data.obs_names=state; it is .NAME, ...."),
        ({"obs_names": ["smell"]}, "there is no observation smell; there are state"),
        ({"rename": {"smell": "nose"}}, "data.rename: there is no smell; there are state"),
        ({"rename": {"state": "x", "action": "x"}}, "gives one name twice"),
        ({"rename": {"observation.state": "images/top"}}, "'images/top' to two observations"),
        ({"rename": {"state[0:99]": "x"}}, "x is to have entries of a vector of shape"),
        ({"rename": {"images/top[0:2]": "x"}}, "x has pictures, of which data.crop takes a part"),
        ({"rename": ["state"]}, "it is {NAME IN THE DATA: NAME WANTED"),
        ({"episode_length": 0}, "data.episode_length=0; it must be at least 1"),
    ],
)
def test_what_cannot_be(wrong, message, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(UserError, match=message):
        list(read_episodes(write_lerobot(tmp_path, camera=True), Request(**wrong)))


class TestLeRobot:
    def test_videos_that_nobody_asks_for_may_be_missing(self, tmp_path):
        path = write_lerobot(tmp_path)
        for video in path.glob("videos/**/*.mp4"):
            video.unlink()
        assert len(list(read_episodes(path, Request(obs_names=["state"])))) == len(LENGTHS)

    def test_names_without_a_prefix(self, tmp_path):
        """As openpi writes them."""
        import pyarrow.parquet as pq

        path = write_lerobot(tmp_path, camera=False)
        names = {"observation.state": "state", "observation.images.wrist": "image"}
        names["action"] = "actions"
        info = json.loads((path / "meta/info.json").read_text())
        info["features"] = {names.get(n, n): f for n, f in info["features"].items()}
        (path / "meta/info.json").write_text(json.dumps(info))
        for file in path.glob("data/*/*.parquet"):
            table = pq.read_table(file)
            pq.write_table(
                table.rename_columns([names.get(n, n) for n in table.column_names]), file
            )
        for episode, e in zip(read_episodes(path), ALL, strict=True):
            assert set(episode.obs) == {"state", "image"}
            np.testing.assert_array_equal(episode.action, e["action"])

    def test_an_action_of_one_number(self, tmp_path):
        """It is a column of numbers, where longer ones are lists."""
        import pyarrow.parquet as pq

        path = write_lerobot(tmp_path, camera=False)
        for file in path.glob("data/*/*.parquet"):
            table = pq.read_table(file)
            first = table.column("action").combine_chunks().flatten()[::2]
            where = table.column_names.index("action")
            pq.write_table(table.set_column(where, "action", first), file)
        for episode, e in zip(read_episodes(path), ALL, strict=True):
            np.testing.assert_array_equal(episode.action, e["action"][:, :1])

    def test_texts_and_tasks(self, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = write_lerobot(tmp_path, camera=False)
        info = json.loads((path / "meta/info.json").read_text())
        info["features"]["observation.language"] = {"dtype": "string", "shape": [1]}
        (path / "meta/info.json").write_text(json.dumps(info))
        (path / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "take the can"}\n')
        for file in path.glob("data/*/*.parquet"):
            table = pq.read_table(file)
            words = pa.array(["go"] * len(table))
            pq.write_table(table.append_column("observation.language", words), file)
        for episode in read_episodes(path):
            assert episode.text == {"observation.language": "go", "task": "take the can"}
            assert "language" not in episode.obs


class TestHdf5:
    def test_groups_texts_and_numbers_that_are_none(self, tmp_path):
        path = write_robomimic(tmp_path)
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():
                steps = len(demo["actions"])
                demo["obs/arm/joints"] = np.ones((steps, 7))
                demo["obs/object"] = np.full((steps, 3), np.nan)
                demo["obs/lang"] = np.array(["go"] * steps, "S2")
        request = Request(obs_names=["robot0_eef_pos", "arm/joints"])
        for episode in read_episodes(path, request):
            assert set(episode.obs) == {"robot0_eef_pos", "arm/joints"}
            assert episode.text == {"lang": "go"}
        with pytest.raises(UserError, match="'object' is not finite"):
            list(read_episodes(path))

    @pytest.mark.parametrize("missing", [["rewards"], ["rewards", "terminals"]])
    def test_flat_arrays_without_rewards(self, missing, tmp_path):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            for name in missing:
                del file[name]
        assert [e.episode_return for e in read_episodes(path)] == [0] * len(LENGTHS)

    def test_minari_without_rewards_or_ends(self, tmp_path):
        path = write_minari(tmp_path)
        with h5py.File(path / "data/main_data.hdf5", "r+") as file:
            for episode in file.values():
                for name in ("rewards", "terminations", "truncations"):
                    del episode[name]
        for episode in read_episodes(path):
            assert (episode.episode_return, episode.terminated, episode.truncated) == (0, 0, 0)

    def test_ends_that_are_never_set(self, tmp_path):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            file["timeouts"][...] = False
        with pytest.raises(UserError, match="data.episode_length=..."):
            list(read_episodes(path))
        lengths = [len(e) for e in read_episodes(path, Request(episode_length=5))]
        assert lengths == [5, 5, 3]
