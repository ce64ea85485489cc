"""Readers of other people's formats: files of the real layout, made here, read back and damaged."""

import json
import shutil
import struct

import h5py
import numpy as np
import pytest
from formats import (
    ALL,
    LENGTHS,
    block,
    check,
    example,
    record,
    varint,
    video,
    write_d4rl,
    write_lerobot,
    write_minari_arrow,
    write_robomimic,
    write_tfrecord,
)

from ibc.data import read_episodes
from ibc.data.loading import load_dataset
from ibc.data.request import Request
from ibc.data.selection import Selection
from ibc.data.tfrecord import masked_crc32c
from ibc.errors import UserError


class TestD4RL:
    def test_real_layout(self, tmp_path):
        episodes = check(write_d4rl(tmp_path), "d4rl", "state", has_last=False)
        assert all(e.truncated and not e.terminated for e in episodes)

    def test_next_observations_give_the_last_one(self, tmp_path):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            file["next_observations"] = np.concatenate([e["obs"][1:] for e in ALL])
        check(path, "d4rl", "state")

    def test_without_timeouts_the_length_cuts(self, tmp_path):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            del file["timeouts"]
            file["terminals"][3] = True
        assert [len(e) for e in read_episodes(path)] == [4, 9]
        episodes = list(read_episodes(path, Request(episode_length=6)))
        assert [(len(e), e.terminated, e.truncated) for e in episodes] == [
            (4, True, False),
            (6, False, True),
            (3, False, False),
        ]

    def test_the_length_does_not_overrule_timeouts(self, tmp_path, capsys):
        """A task's own length is given to all files, those with longer episodes included (pen-expert)."""
        path = write_d4rl(tmp_path)
        assert len(list(read_episodes(path, Request(episode_length=4)))) == len(LENGTHS)
        assert not capsys.readouterr().out
        assert len(list(read_episodes(path, Request(episode_length=2)))) == len(LENGTHS)
        assert "data.episode_length=2 changes nothing" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("terminals", np.full(13, 7), "other values than 0 and 1"),
            ("rewards", np.zeros((13, 2)), "expected one number a step"),
            ("observations", np.zeros((13, 2, 2)), "expected vectors"),
            ("actions", np.array([b"a"] * 13), "expected numbers"),
            ("observations", np.full((13, 3), 1e300), "not finite"),
        ],
    )
    def test_refusals(self, tmp_path, name, array, message):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            del file[name]
            file[name] = array
        with pytest.raises(UserError, match=message), np.errstate(over="ignore"):
            list(read_episodes(path))

    def test_what_is_not_in_the_file_is_not_made_up(self, tmp_path):
        path = write_d4rl(tmp_path)
        with h5py.File(path, "r+") as file:
            del file["rewards"]
            file.create_dataset("rewards", (13,), np.float32, chunks=(5,))
        with pytest.raises(UserError, match="'rewards' is incomplete"):
            list(read_episodes(path))


class TestRobomimic:
    def test_real_layout(self, tmp_path):
        episodes = check(write_robomimic(tmp_path), "robomimic", "robot0_eef_pos")
        for episode, e in zip(episodes, ALL, strict=True):
            np.testing.assert_array_equal(episode.obs["agentview_image"], e["image"])
            assert episode.success.tolist() == (e["reward"] == 1.0).tolist()
            assert episode.terminated

    def test_what_is_kept_for_validation_is_said(self, tmp_path, capsys):
        path = write_robomimic(tmp_path)
        with h5py.File(path, "r+") as file:
            file["mask/valid"] = np.array([b"demo_10"])
        assert len(list(read_episodes(path))) == len(LENGTHS)
        assert "mask/valid keeps 1 demonstrations" in capsys.readouterr().out

    def test_without_next_obs(self, tmp_path):
        check(write_robomimic(tmp_path, next_obs=False), "robomimic", "robot0_eef_pos", False)

    def test_states_alone_are_refused(self, tmp_path):
        path = write_robomimic(tmp_path)
        with h5py.File(path, "r+") as file:
            del file["data/demo_10/obs"]
        with pytest.raises(UserError, match="dataset_states_to_obs"):
            list(read_episodes(path))


class TestTFRecord:
    def test_checksum(self):
        """The check value of CRC-32C (RFC 3720, appendix B.4), masked as TensorFlow does."""
        crc = 0xE3069283
        assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    def test_real_layout(self, tmp_path):
        episodes = check(write_tfrecord(tmp_path), "ibc_tfrecord", "effector")
        for episode in episodes:
            assert episode.obs["rgb"].shape == (len(episode) + 1, 8, 10, 3)
            assert episode.obs["rgb"].dtype == np.uint8
            assert episode.terminated

    def test_one_shard(self, tmp_path):
        shard = write_tfrecord(tmp_path) / "oracle_1.tfrecord"
        assert [len(e) for e in read_episodes(shard)] == [LENGTHS[2]]

    def test_without_boundary_rows(self, tmp_path):
        check(write_tfrecord(tmp_path, boundary=False), "ibc_tfrecord", "effector", False)

    def test_a_shard_cut_between_records(self, tmp_path):
        shard = write_tfrecord(tmp_path) / "oracle_0.tfrecord"
        content = shard.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        shard.write_bytes(content[: length + 16])
        with pytest.raises(UserError, match="ends within an episode"):
            list(read_episodes(shard))

    def test_unpacked_and_negative_numbers(self):
        from ibc.data.tfrecord import parse_example

        numbers = block(3, b"".join(varint(1 << 3) + varint(v) for v in (-5, 1 << 40)))
        message = block(1, block(1, block(1, b"n") + block(2, numbers)))
        assert parse_example(message)["n"].tolist() == [-5, 1 << 40]

    def test_raw_bytes_are_refused(self, tmp_path):
        row = {
            **{k: np.array(v, np.int32) for k, v in (("step_type", 0), ("next_step_type", 2))},
            "observation": b"12345678",
            "action": np.zeros(2, np.float32),
            "reward": np.zeros(1, np.float32),
            "discount": np.zeros(1, np.float32),
        }
        path = tmp_path / "x.tfrecord"
        path.write_bytes(record(example(row)))
        with pytest.raises(UserError, match="bytes that are no JPEG"):
            list(read_episodes(path))


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
class TestMinariArrow:
    def test_real_layout(self, tmp_path, kind):
        episodes = check(write_minari_arrow(tmp_path, kind), "minari_arrow", "arm/q")
        for number, episode in enumerate(episodes):
            assert episode.seed == number
            assert episode.success.tolist() == [False] * (len(episode) - 1) + [True]
            assert episode.truncated

    def test_a_missing_episode(self, tmp_path, kind):
        path = write_minari_arrow(tmp_path, kind)
        shutil.rmtree(path / "data/1")
        with pytest.raises(UserError, match="2 episodes; 3 announced"):
            list(read_episodes(path))


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
class TestLeRobot:
    def test_real_layout(self, tmp_path, version):
        episodes = check(write_lerobot(tmp_path, version), "lerobot", "state", has_last=False)
        for number, (episode, e) in enumerate(zip(episodes, ALL, strict=True)):
            assert set(episode.obs) == {"state", "images/wrist", "images/top"}
            np.testing.assert_array_equal(episode.obs["images/wrist"][:-1], e["image"][:-1])
            gray = (
                np.asarray(episode.obs["images/top"])
                .reshape(len(episode) + 1, -1)
                .mean(axis=1)[:-1]
            )
            np.testing.assert_allclose(gray, 20 * np.arange(len(episode)) + 60 * number, atol=3)
            assert episode.success[-1]
            assert episode.terminated

    def test_pictures_that_no_step_announces_are_refused(self, tmp_path, version):
        """A recorder that began too early, or with pauses that a decoder fills."""
        path = write_lerobot(tmp_path, version)
        file = sorted(path.glob("videos/**/*.mp4"))[-1]
        video(file, [0] * (2 + sum(LENGTHS)))
        *_, last = read_episodes(path)
        with pytest.raises(UserError, match="the file has more pictures than these"):
            np.asarray(last.obs["images/top"])

    def test_missing_parts(self, tmp_path, version):
        path = write_lerobot(tmp_path, version)
        next(path.glob("videos/**/*.mp4")).unlink()
        with pytest.raises(UserError, match=r"there is no .*mp4"):
            list(read_episodes(path))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"data_path": "../data.parquet"}, "is no file inside of the data set"),
            ({"video_path": "/dev/zero"}, "'/dev/zero' is no file inside of the data set"),
            ({"video_path": None}, "is no file inside of the data set"),
            ({"features": None}, "there is no 'features'"),
            ({"total_episodes": 4}, "episode.*3"),
        ],
    )
    def test_descriptions_that_cannot_be(self, tmp_path, version, change, message):
        path = write_lerobot(tmp_path, version)
        info = json.loads((path / "meta/info.json").read_text()) | change
        kept = {name: value for name, value in info.items() if value is not None}
        (path / "meta/info.json").write_text(json.dumps(kept))
        with pytest.raises(UserError, match=message):
            list(read_episodes(path))

    @pytest.mark.parametrize("content", ["[]", "{"])
    def test_descriptions_that_are_none(self, tmp_path, version, content):
        path = write_lerobot(tmp_path, version, camera=False)
        (path / "meta/info.json").write_text(content)
        with pytest.raises(UserError, match=r"meta/info\.json(, line 1:| is not a JSON object)"):
            list(read_episodes(path))

    def test_another_version(self, tmp_path, version):
        path = write_lerobot(tmp_path, version, camera=False)
        info = path / "meta/info.json"
        info.write_text(info.read_text().replace(version, "v1.6"))
        with pytest.raises(UserError, match=r"version v1\.6"):
            list(read_episodes(path))


def test_the_first_of_many(tmp_path, capsys):
    """``data.num_episodes`` takes as many, and says where there are fewer."""
    path = write_d4rl(tmp_path)
    assert load_dataset(path, selection=Selection(num_episodes=1)).about["num_episodes"] == 1
    assert not capsys.readouterr().out
    assert load_dataset(path, selection=Selection(num_episodes=9)).about["num_episodes"] == 3
    assert "has 3 episodes; data.num_episodes=9" in capsys.readouterr().out
