"""Readers of other people's formats: files of the real layout, made here, read back and damaged."""

import json
import random
import shutil
import signal
import struct

import cv2
import h5py
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium import spaces

from ibc.data import Episode, read_episodes
from ibc.data.readers import find_reader
from ibc.data.tfrecord import masked_crc32c
from ibc.errors import UserError

LENGTHS = (4, 6, 3)


def numbers(steps, seed):
    """The arrays of an episode in which every number is another one."""
    rng = np.random.default_rng(seed)
    return {
        "obs": rng.normal(size=(steps + 1, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        "reward": np.eye(steps, dtype=np.float32)[-1],
        "image": rng.integers(0, 256, (steps + 1, 8, 10, 3), dtype=np.uint8),
    }


ALL = [numbers(steps, seed) for seed, steps in enumerate(LENGTHS)]


# --- D4RL ---------------------------------------------------------------------------------------------------------


def write_d4rl(root):
    path = root / "pen-human-v1.hdf5"
    with h5py.File(path, "w") as file:

        def put(name, arrays):
            file.create_dataset(name, data=np.concatenate(arrays), compression="gzip")

        put("observations", [e["obs"][:-1] for e in ALL])
        put("actions", [e["action"] for e in ALL])
        put("rewards", [e["reward"] for e in ALL])
        put("terminals", [np.zeros(n, np.bool_) for n in LENGTHS])
        put("timeouts", [np.eye(n, dtype=np.bool_)[-1] for n in LENGTHS])
        put("infos/qpos", [e["obs"][:-1] for e in ALL])
        file["metadata/algorithm"] = b"human"
    return path


# --- robomimic ----------------------------------------------------------------------------------------------------


def write_robomimic(root, next_obs=True):
    path = root / "low_dim_v141.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(LENGTHS)
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})
        for index in (2, 0, 1):  # HDF5 sorts names; demo_10 comes before demo_2
            e = ALL[index]
            demo = data.create_group(f"demo_{9 + index}")
            demo.attrs["num_samples"] = len(e["action"])
            demo["actions"] = e["action"].astype(np.float64)
            demo["rewards"] = e["reward"].astype(np.float64)
            demo["dones"] = e["reward"].astype(np.int64)
            demo["states"] = np.zeros((len(e["action"]), 32))
            groups = [("obs", slice(None, -1)), ("next_obs", slice(1, None))]
            for group, rows in groups[: 1 + next_obs]:
                demo[f"{group}/robot0_eef_pos"] = e["obs"][rows].astype(np.float64)
                demo[f"{group}/agentview_image"] = e["image"][rows]
        file["mask/train"] = np.array([b"demo_9"])
    return path


# --- TFRecord -----------------------------------------------------------------------------------------------------


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value):
    if isinstance(value, bytes):
        return block(1, block(1, value))
    if value.dtype == np.float32:
        return block(2, block(1, value.astype("<f4").tobytes()))
    if value.dtype == np.int64:
        return block(3, block(1, b"".join(varint(int(v)) for v in value.reshape(-1))))
    return block(1, block(1, value.tobytes()))  # what TF-Agents does with all other types


def example(row):
    entries = [block(1, block(1, k.encode()) + block(2, feature(v))) for k, v in row.items()]
    return block(1, b"".join(entries))


def record(content):
    length = struct.pack("<Q", len(content))
    parts = [length, struct.pack("<I", masked_crc32c(length))]
    return b"".join([*parts, content, struct.pack("<I", masked_crc32c(content))])


def jpeg(image):
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


def write_tfrecord(root, boundary=True):
    """Two shards of TF-Agents trajectories, images as JPEG, boundary rows as its driver leaves them."""
    folder = root / "block_push"
    folder.mkdir()
    for shard, episodes in enumerate((ALL[:2], ALL[2:])):
        content = b""
        for e in episodes:
            steps = len(e["action"])
            for t in range(steps + boundary):
                kinds = [0 if t == 0 else 2 if t == steps else 1]
                kinds.append(0 if t == steps else 2 if t == steps - 1 else 1)
                row = {
                    "step_type": np.array(kinds[0], np.int32),
                    "next_step_type": np.array(kinds[1], np.int32),
                    "observation/effector": e["obs"][t],
                    "observation/rgb": jpeg(e["image"][t]),
                    "action": e["action"][min(t, steps - 1)],
                    "reward": np.array(e["reward"][t] if t < steps else 0, np.float32),
                    "discount": np.array(float(t != steps - 1), np.float32),
                }
                content += record(example(row))
        (folder / f"oracle_{shard}.tfrecord").write_bytes(content)
        (folder / f"oracle_{shard}.tfrecord.spec").write_bytes(b"\x0a\x03abc")
    return folder


# --- Minari in Arrow ----------------------------------------------------------------------------------------------


def write_minari_arrow(root, kind="arrow"):
    """Written by Minari's own storage."""
    pytest.importorskip("pyarrow")
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    data = root / "set-v0" / "data"
    data.mkdir(parents=True)
    storage = MinariStorage.new(
        data,
        observation_space=spaces.Dict({"arm": spaces.Dict({"q": spaces.Box(-9, 9, (3,))})}),
        action_space=spaces.Box(-1, 1, (2,)),
        data_format=kind,
    )
    buffers = [
        EpisodeBuffer(
            id=index,
            seed=index,
            observations={"arm": {"q": e["obs"]}},
            actions=e["action"],
            rewards=e["reward"].tolist(),
            terminations=[False] * len(e["action"]),
            truncations=[False] * (len(e["action"]) - 1) + [True],
            infos={"success": np.append(False, e["reward"] == 1.0)},
        )
        for index, e in enumerate(ALL)
    ]
    storage.update_episodes(buffers)
    return root / "set-v0"


# --- LeRobot ------------------------------------------------------------------------------------------------------


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def video(path, frames, codec="libx264"):
    """Without loss to the eye; the pictures are flat grey so that a decoder gives them back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        str(path), (32, 16), fps=10, codec=codec, quality=10, macro_block_size=1
    )
    writer.send(None)
    for level in frames:
        writer.send(np.full((16, 32, 3), level, np.uint8))
    writer.close()


def write_lerobot(root, version="v2.1", camera=True):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = root / "lerobot"
    three = version.startswith("v3")
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
        "observation.images.wrist": {"dtype": "image", "shape": [8, 10, 3], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": None},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
    }
    if camera:
        features["observation.images.top"] = {"dtype": "video", "shape": [16, 32, 3]}
    chunks = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    movies = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    info = {
        "codebase_version": version,
        "fps": 10,
        "total_episodes": len(ALL),
        "chunks_size": 1000,
        "features": features,
        "data_path": chunks if three else data,
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
        if three
        else movies,
    }
    (path / "meta").mkdir(parents=True)
    (path / "meta/info.json").write_text(json.dumps(info))

    def rows(index):
        e = ALL[index]
        steps = len(e["action"])
        return {
            "observation.state": e["obs"][:-1].tolist(),
            "observation.images.wrist": [{"bytes": png(i), "path": None} for i in e["image"][:-1]],
            "action": e["action"].tolist(),
            "next.reward": e["reward"].tolist(),
            "next.done": (np.arange(steps) == steps - 1).tolist(),
            "next.success": (e["reward"] == 1.0).tolist(),
            "timestamp": (np.arange(steps) / 10).tolist(),
            "frame_index": list(range(steps)),
            "episode_index": [index] * steps,
            "index": [sum(LENGTHS[:index]) + t for t in range(steps)],
            "task_index": [0] * steps,
        }

    def put(file, columns):
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file, write_page_checksum=True)

    grey = [[20 * t + 60 * i for t in range(n)] for i, n in enumerate(LENGTHS)]
    if three:
        table = {k: [v for i in range(len(ALL)) for v in rows(i)[k]] for k in rows(0)}
        put(path / "data/chunk-000/file-000.parquet", table)
        starts = [sum(LENGTHS[:i]) for i in range(len(ALL))]
        top = "videos/observation.images.top"
        places = {
            "episode_index": [0, 1, 2],
            "length": list(LENGTHS),
            "data/chunk_index": [0] * 3,
            "data/file_index": [0] * 3,
            f"{top}/chunk_index": [0] * 3,
            f"{top}/file_index": [0] * 3,
            f"{top}/from_timestamp": [s / 10 for s in starts],
        }
        put(path / "meta/episodes/chunk-000/file-000.parquet", places)
        if camera:
            video(
                path / f"{top}/chunk-000/file-000.mp4",
                [level for levels in grey for level in levels],
            )
    else:
        for index in range(len(ALL)):
            put(path / f"data/chunk-000/episode_{index:06d}.parquet", rows(index))
            if camera:
                folder = path / "videos/chunk-000/observation.images.top"
                video(folder / f"episode_{index:06d}.mp4", grey[index])
    return path


def write_lerobot_v3(root, camera=True):
    return write_lerobot(root, "v3.0", camera)


def write_minari_parquet(root):
    return write_minari_arrow(root, "parquet")


# --- correct reads ------------------------------------------------------------------------------------------------


def check(path, reader, state, has_last=True):
    assert find_reader(path)[0] == reader
    episodes = list(read_episodes(path))
    assert [len(e) for e in episodes] == list(LENGTHS)
    for episode, e in zip(episodes, ALL, strict=True):
        np.testing.assert_array_equal(episode.obs[state][:-1], e["obs"][:-1])
        last = e["obs"][-1] if has_last else e["obs"][-2]
        np.testing.assert_array_equal(episode.obs[state][-1], last)
        np.testing.assert_array_equal(episode.action, e["action"])
        np.testing.assert_array_equal(episode.reward, e["reward"])
    return episodes


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
        episodes = list(read_episodes(path, episode_length=6))
        assert [(len(e), e.terminated, e.truncated) for e in episodes] == [
            (4, True, False),
            (6, False, True),
            (3, False, False),
        ]

    def test_the_length_does_not_overrule_timeouts(self, tmp_path):
        assert len(list(read_episodes(write_d4rl(tmp_path), episode_length=2))) == len(LENGTHS)

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
            grey = episode.obs["images/top"].reshape(len(episode) + 1, -1).mean(axis=1)[:-1]
            np.testing.assert_allclose(grey, 20 * np.arange(len(episode)) + 60 * number, atol=3)
            assert episode.success[-1]
            assert episode.terminated

    def test_missing_parts(self, tmp_path, version):
        path = write_lerobot(tmp_path, version)
        next(path.glob("videos/**/*.mp4")).unlink()
        with pytest.raises(UserError, match=r"there is no .*mp4"):
            list(read_episodes(path))

    def test_another_version(self, tmp_path, version):
        path = write_lerobot(tmp_path, version, camera=False)
        info = path / "meta/info.json"
        info.write_text(info.read_text().replace(version, "v1.6"))
        with pytest.raises(UserError, match=r"version v1\.6"):
            list(read_episodes(path))


# --- damage -------------------------------------------------------------------------------------------------------


def write_minari(root):
    """As ``collect_demos.py`` writes it."""
    from ibc.data import DemonstrationWriter

    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    writer = DemonstrationWriter(
        root / "demos",
        env_id="Test-v0",
        observation_space=spaces.Dict({"state": box}),
        action_space=spaces.Box(-1, 1, (2,)),
        about={},
    )
    for e in ALL:
        steps = len(e["action"])
        ends = {"terminated": False, "truncated": True}
        success = np.zeros(steps, np.bool_)
        writer.append(
            Episode(
                obs={"state": e["obs"]},
                action=e["action"],
                reward=e["reward"],
                success=success,
                **ends,
            )
        )
    writer.close()
    return root / "demos"


WRITERS = {
    "d4rl": write_d4rl,
    "minari": write_minari,
    "robomimic": write_robomimic,
    "ibc_tfrecord": write_tfrecord,
    "minari_arrow": write_minari_arrow,
    "minari_parquet": write_minari_parquet,
    "lerobot_v2": write_lerobot,
    "lerobot_v3": write_lerobot_v3,
}
#: Formats with a checksum over every number: what is read at all is what was written.
CHECKED = ("minari", "ibc_tfrecord", "d4rl")


def damage(content, rng):
    """Bytes flipped, cut off, zeroed, doubled: what disks and downloads do."""
    data = bytearray(content)
    kind = rng.randrange(5)
    at = rng.randrange(len(data))
    if kind == 0:
        del data[at:]
    elif kind == 1:
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == 2:
        data[at:at] = data[at : at + rng.choice([1, 64])]
    else:
        for _ in range(rng.choice([1, 8, 64])):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def plausible(episodes, checked):
    """Numbers that can be data; those that were written, where there is a checksum."""
    assert episodes
    for episode in episodes:
        assert isinstance(
            episode, Episode
        )  # its constructor has checked lengths, types and finiteness
    actions = {e["action"].tobytes() for e in ALL}
    if checked:
        assert all(e.action.tobytes() in actions for e in episodes)


def fuzz(kind, root, count, seed):
    good = WRITERS[kind](root)
    files = [good] if good.is_file() else sorted(p for p in good.rglob("*") if p.is_file())
    contents = {file: file.read_bytes() for file in files}
    rng = random.Random(seed)
    errors = 0

    def too_long(*_):
        raise AssertionError("reading does not end")

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for _ in range(count):
            file = rng.choice(files)
            file.write_bytes(damage(contents[file], rng))
            signal.alarm(20)
            try:
                plausible(list(read_episodes(good)), kind in CHECKED)
            except UserError as error:
                assert "\n" not in str(error)
                assert str(error)
                errors += 1
            finally:
                signal.alarm(0)
                file.write_bytes(contents[file])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(read_episodes(good)), "the file is whole again"
    return errors


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", WRITERS)
class TestDamage:
    def test_a_few(self, kind, tmp_path):
        assert fuzz(kind, tmp_path, 40, seed=0) > 5

    @pytest.mark.slow
    def test_a_thousand(self, kind, tmp_path):
        assert fuzz(kind, tmp_path, 1000, seed=1) > 100
