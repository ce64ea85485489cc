"""Replay buffers and RLDS data sets: files of the real layout, read back; what is missing is named."""

import shutil

import numpy as np
import pytest
from formats import ALL, LENGTHS, check
from replays import (
    WRITERS,
    buffer,
    write_npz,
    write_npz_folder,
    write_rlds,
    write_zarr,
    write_zarr_v3,
)

from ibc.data import read_episodes
from ibc.data.request import Request
from ibc.errors import UserError


@pytest.mark.parametrize("write", [write_zarr, write_zarr_v3])
class TestZarr:
    def test_real_layout(self, tmp_path, write):
        for episode, e in zip(
            check(write(tmp_path), "zarr_replay", "state", has_last=False), ALL, strict=True
        ):
            np.testing.assert_array_equal(np.asarray(episode.obs["img"])[:-1], e["image"][:-1])
            assert episode.obs["img"].dtype == np.uint8

    def test_pieces_that_are_missing_are_not_zero(self, tmp_path, write):
        path = write(tmp_path)
        pieces = [p for p in (path / "data/state").rglob("*") if p.name in ("1.0", "0")]
        (piece,) = [p for p in pieces if p.is_file()][:1]
        piece.unlink()
        with pytest.raises(UserError, match="1 of the 3 pieces of 'state' are missing"):
            list(read_episodes(path))
        assert len(list(read_episodes(path, Request(obs_names=["img"])))) == len(LENGTHS)

    def test_pieces_of_rewards_that_zarr_leaves_out_are_zero(self, tmp_path, write):
        import zarr

        path = write(tmp_path)
        data = zarr.open_group(path)["data"]
        sparse = np.eye(sum(LENGTHS), dtype=np.float32)[-1]
        data.create_array("reward", data=sparse, chunks=(2,), overwrite=True)
        assert data["reward"].nchunks_initialized == 1
        rewards = [e.reward for e in read_episodes(path)]
        np.testing.assert_array_equal(np.concatenate(rewards), sparse)

    def test_text_is_kept(self, tmp_path, write):
        import zarr

        path = write(tmp_path)
        data = zarr.open_group(path)["data"]
        tasks = data.create_array("task", shape=(len(LENGTHS),), dtype=str, chunks=(2,))
        tasks[:] = np.array([f"lift {number}" for number in range(len(LENGTHS))])
        texts = [episode.text for episode in read_episodes(path)]
        assert texts == [{"task": f"lift {number}"} for number in range(len(LENGTHS))]

    def test_pictures_of_other_numbers_are_refused(self, tmp_path, write):
        import zarr

        path = write(tmp_path)
        images = buffer()["img"].astype(np.float32) / 255
        zarr.open_group(path)["data"].create_array("img", data=images, overwrite=True)
        with pytest.raises(UserError, match="pictures are float32 with other numbers"):
            np.asarray(next(read_episodes(path)).obs["img"])


def test_another_group_is_no_buffer(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(tmp_path / "x.zarr", mode="w").create_group("data")
    with pytest.raises(UserError, match="is not a replay buffer"):
        list(read_episodes(tmp_path / "x.zarr"))


class TestNpz:
    def test_one_file(self, tmp_path):
        for episode, e in zip(
            check(write_npz(tmp_path), "npz", "state", has_last=False), ALL, strict=True
        ):
            np.testing.assert_array_equal(np.asarray(episode.obs["img"])[:-1], e["image"][:-1])
            assert episode.text == {"instruction": "go"}

    def test_an_episode_a_file(self, tmp_path):
        for episode, e in zip(check(write_npz_folder(tmp_path), "npz", "state"), ALL, strict=True):
            np.testing.assert_array_equal(np.asarray(episode.obs["img"]), e["image"])

    def test_refusals(self, tmp_path):
        path = tmp_path / "x.npz"
        np.savez(path, action=np.array([{"a": 1}], dtype=object))
        with pytest.raises(UserError, match="a pickle, which may run any code and is never loaded"):
            list(read_episodes(path))
        np.savez(path, moves=np.zeros((3, 2)), state=np.zeros((3, 2)))
        with pytest.raises(UserError, match="no array 'action', but moves, state"):
            list(read_episodes(path))
        (episode,) = read_episodes(path, Request(rename={"moves": "action"}))
        assert set(episode.obs) == {"state"}
        np.savez(path, action=np.zeros((3, 2)), state=np.zeros((3, 2)), episode_ends=[2])
        with pytest.raises(
            UserError, match="are no whole numbers that rise to the number of actions, 3"
        ):
            list(read_episodes(path))

    def test_text_of_each_step_and_of_each_episode(self, tmp_path):
        path = tmp_path / "x.npz"
        arrays = {"action": np.zeros((5, 2)), "state": np.zeros((5, 2)), "episode_ends": [2, 5]}
        steps, episodes = ["a", "a", "b", "c", "c"], np.array(["one", "two"], "S3")
        np.savez(path, **arrays, words=steps, task=episodes, robot="arm")
        assert [e.text for e in read_episodes(path)] == [
            {"words": "a", "task": "one", "robot": "arm"},
            {"words": "b; c", "task": "two", "robot": "arm"},
        ]

    def test_what_is_not_asked_for_may_be_of_any_kind(self, tmp_path):
        path = tmp_path / "x.npz"
        columns = np.asfortranarray(np.arange(6.0).reshape(3, 2))
        info = np.array([{"a": 1}] * 3, dtype=object)
        np.savez(path, action=columns, state=columns, info=info, other=np.asfortranarray(columns.T))
        (episode,) = read_episodes(path, Request(obs_names=["state"]))
        np.testing.assert_array_equal(episode.obs["state"][:3], columns)
        with pytest.raises(UserError, match="'info' holds Python objects"):
            list(read_episodes(path))

    @pytest.mark.parametrize("ends", [[1.5, 3.0], [2, 2, 3], [4], [2]])
    def test_ends_that_cannot_be(self, ends, tmp_path):
        arrays = {"action": np.zeros((3, 2)), "state": np.zeros((3, 2))}
        np.savez(tmp_path / "x.npz", **arrays, episode_ends=ends)
        with pytest.raises(UserError, match="no whole numbers that rise to"):
            list(read_episodes(tmp_path / "x.npz"))

    def test_an_array_with_other_rows_is_no_observation(self, tmp_path):
        """Its rows would be those of other moments."""
        np.savez(tmp_path / "x.npz", action=np.ones((4, 2)), x=np.ones((4, 3)), fast=np.ones(8))
        with pytest.raises(UserError, match="'fast' has 8 rows, and there are 4 actions"):
            list(read_episodes(tmp_path / "x.npz", Request(obs_names=["fast"])))

    @pytest.mark.parametrize("name", ["terminals", "dones", "timeouts"])
    def test_an_end_within_an_episode_is_refused(self, name, tmp_path):
        """Windows would show two episodes as one."""
        path, ends = tmp_path / "x.npz", [0, 0, 1, 0, 0, 1]
        arrays = {"action": np.ones((6, 2)), "state": np.ones((6, 3)), name: ends}
        np.savez(path, **arrays)
        with pytest.raises(UserError, match="at row 2, within an episode; episode_ends says"):
            list(read_episodes(path))
        np.savez(path, **arrays, episode_ends=[3, 6])
        assert [e.truncated for e in read_episodes(path)] == [name == "timeouts"] * 2
        assert [e.terminated for e in read_episodes(path)] == [name != "timeouts"] * 2

    def test_one_value_of_an_episode_is_of_its_last_step(self, tmp_path):
        path, arrays = tmp_path / "x.npz", {"action": np.ones((6, 2)), "state": np.ones((6, 3))}
        np.savez(path, **arrays, success=True, terminated=True)
        (episode,) = read_episodes(path)
        assert episode.success.tolist() == [False] * 5 + [True]
        assert episode.terminated
        for others in ({"success": True, "episode_ends": [2, 6]}, {"reward": 1.0}):
            np.savez(path, **arrays, **others)
            with pytest.raises(UserError, match="has 1 numbers, expected one a step, 6"):
                list(read_episodes(path))

    def test_what_is_seen_after_a_step_is_seen_where_that_is_asked_for(self, tmp_path):
        arrays = {"state": np.ones((6, 3)), "next_state": np.ones((6, 3)), "dones": np.zeros(6)}
        np.savez(tmp_path / "x.npz", action=np.ones((6, 2)), **arrays)
        (episode,) = read_episodes(tmp_path / "x.npz")
        assert set(episode.obs) == {"state"}
        (episode,) = read_episodes(tmp_path / "x.npz", Request(obs_names=["next_state"]))
        assert set(episode.obs) == {"next_state"}

    def test_an_observation_of_which_rows_are_missing_is_refused(self, tmp_path):
        path = tmp_path / "x.npz"
        arrays = {"x": np.ones((20, 3)), "cut": np.ones((18, 1)), "map": np.ones((3, 3))}
        np.savez(path, action=np.ones((20, 2)), **arrays)
        with pytest.raises(UserError, match="'cut' has 18 rows, and there are 20 actions; if it"):
            list(read_episodes(path))
        (episode,) = read_episodes(path, Request(obs_names=["x"]))
        assert set(episode.obs) == {"x"}

    def test_an_action_that_is_renamed_is_no_action(self, tmp_path):
        np.savez(tmp_path / "x.npz", action=np.ones((4, 2)), actions=np.zeros((4, 2)))
        with pytest.raises(UserError, match="has no array 'action'"):
            list(
                read_episodes(
                    tmp_path / "x.npz", Request(rename={"action": "a", "actions": "command"})
                )
            )
        (episode,) = read_episodes(tmp_path / "x.npz", Request(rename={"action": "shown"}))
        assert not episode.action.any()


class TestRlds:
    @pytest.mark.parametrize("marked", [True, False])
    def test_real_layout(self, tmp_path, marked):
        episodes = check(write_rlds(tmp_path, marked), "rlds", "state", has_last=marked)
        for episode in episodes:
            assert np.asarray(episode.obs["rgb"]).shape == (len(episode) + 1, 8, 10, 3)
            assert episode.terminated == marked
            assert episode.text == {"language_instruction": "lift it"}

    def test_depth_that_is_stored_as_a_picture_is_refused(self, tmp_path):
        path = write_rlds(tmp_path)
        features = path / "1.0.0/features.json"
        described = features.read_text().replace('"shape": {}', '"shape": {}, "dtype": "float32"')
        features.write_text(described)
        with pytest.raises(UserError, match="is float32, depth perhaps"):
            list(read_episodes(path))
        assert len(list(read_episodes(path, Request(obs_names=["state"])))) == len(LENGTHS)

    def test_one_shard(self, tmp_path):
        shard = next((write_rlds(tmp_path) / "1.0.0").glob("*-00001-of-00002"))
        assert [len(e) for e in read_episodes(shard)] == [LENGTHS[2]]

    def test_the_newest_version(self, tmp_path):
        path = write_rlds(tmp_path)
        shutil.copytree(path / "1.0.0", path / "1.9.0")
        (path / "1.0.0").rename(path / "1.10.0")
        for shard in (path / "1.9.0").glob("*.tfrecord*"):
            shard.write_bytes(b"")
        assert len(list(read_episodes(path))) == len(LENGTHS)

    def test_a_missing_shard(self, tmp_path):
        path = write_rlds(tmp_path)
        next((path / "1.0.0").glob("*-00001-of-00002")).unlink()
        with pytest.raises(UserError, match="has 1 of the 2 shards of arm-train"):
            list(read_episodes(path))


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_not_asked_for_is_not_read(kind, tmp_path):
    """The pictures are gone, or damaged, and nobody asks for them."""
    path = WRITERS[kind](tmp_path)
    if kind.startswith("zarr"):
        shutil.rmtree(path / "data/img/c", ignore_errors=True)
        for piece in path.glob("data/img/[0-9]*"):
            piece.unlink()
    episodes = list(read_episodes(path, Request(obs_names=["pose"], rename={"state": "pose"})))
    assert [set(e.obs) for e in episodes] == [{"pose"}] * len(LENGTHS)
