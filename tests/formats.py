"""Small data sets in the real layouts of other projects, with numbers that are known."""

import json
import struct

import cv2
import h5py
import imageio_ffmpeg
import numpy as np
from gymnasium import spaces

from ibc.data import DemonstrationWriter, Episode, read_episodes
from ibc.data.formats import find_reader
from ibc.data.tfrecord import masked_crc32c

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
    """Without loss to the eye; the pictures are flat gray so that a decoder gives them back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        str(path), (32, 16), fps=10, codec=codec, quality=10, macro_block_size=1
    )
    writer.send(None)
    for level in frames:
        writer.send(np.full((16, 32, 3), level, np.uint8))
    writer.close()


def write_lerobot(root, version="v2.1", camera=True):
    import pyarrow as pa
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

    gray = [[20 * t + 60 * i for t in range(n)] for i, n in enumerate(LENGTHS)]
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
                [level for levels in gray for level in levels],
            )
    else:
        for index in range(len(ALL)):
            put(path / f"data/chunk-000/episode_{index:06d}.parquet", rows(index))
            if camera:
                folder = path / "videos/chunk-000/observation.images.top"
                video(folder / f"episode_{index:06d}.mp4", gray[index])
    return path


def write_lerobot_v3(root, camera=True):
    return write_lerobot(root, "v3.0", camera)


def write_minari_parquet(root):
    return write_minari_arrow(root, "parquet")


def write_minari(root):
    """As ``collect_demos.py`` writes it."""
    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    writer = DemonstrationWriter(
        root / "demos",
        env_id="Test-v0",
        observation_space=spaces.Dict(
            {"state": box, "camera": spaces.Box(0, 255, (8, 10, 3), np.uint8)}
        ),
        action_space=spaces.Box(-1, 1, (2,)),
        about={},
    )
    for e in ALL:
        steps = len(e["action"])
        ends = {"terminated": False, "truncated": True}
        success = np.zeros(steps, np.bool_)
        writer.append(
            Episode(
                obs={"state": e["obs"], "camera": e["image"]},
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


def check(path, reader, state, has_last=True):
    """Read a data set and hold its numbers against those that were written; returns the episodes."""
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
