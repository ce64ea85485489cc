"""Small replay buffers and RLDS data sets in their real layouts, with the numbers of tests/formats.py."""

import json

import numpy as np
from formats import ALL, LENGTHS, block, example, jpeg, record


def buffer():
    """All episodes end to end, as replay buffers have them: an observation an action."""
    return {
        "action": np.concatenate([e["action"] for e in ALL]),
        "reward": np.concatenate([e["reward"] for e in ALL]),
        "state": np.concatenate([e["obs"][:-1] for e in ALL]),
        "img": np.concatenate([e["image"][:-1] for e in ALL]),
    }


def write_zarr(root, version=2):
    import zarr

    path = root / "replay.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for name, array in buffer().items():
        data = group.require_group("data")
        stored = array.astype(np.float32) if version == 2 and name == "img" else array
        data.create_array(name, data=stored, chunks=(5, *array.shape[1:]))
    meta = group.require_group("meta")
    meta.create_array("episode_ends", data=np.cumsum(LENGTHS), chunks=(2,))
    return path


def write_zarr_v3(root):
    return write_zarr(root, 3)


def write_npz(root):
    path = root / "replay.npz"
    ends = np.cumsum(LENGTHS)
    np.savez_compressed(path, **buffer(), episode_ends=ends, instruction=np.array("go"))
    return path


def write_npz_folder(root):
    """An episode a file, with the observation after the last action."""
    (root / "recordings").mkdir()
    for number, e in enumerate(ALL):
        arrays = {"actions": e["action"], "reward": e["reward"], "state": e["obs"]}
        np.savez(root / f"recordings/{number}.npz", **arrays, img=e["image"])
    return root / "recordings"


def _tensor(shape, dtype):
    dimensions = {"dimensions": [str(n) for n in shape]} if shape else {}
    return {"pythonClassName": "Tensor", "tensor": {"shape": dimensions, "dtype": dtype}}


def _dict(features):
    return {"pythonClassName": "FeaturesDict", "featuresDict": {"features": features}}


def write_rlds(root, marked=True):
    """Two shards. With marks the last step of an episode has the last observation, and an action without meaning."""
    folder = root / "arm" / "1.0.0"
    folder.mkdir(parents=True)
    step = {
        "observation": _dict({"state": _tensor((3,), "float32"), "rgb": {"image": {"shape": {}}}}),
        "action": _tensor((2,), "float32"),
        "reward": _tensor((), "float32"),
        "is_last": _tensor((), "bool"),
        "is_terminal": _tensor((), "bool"),
        "language_instruction": {"text": {}},
    }
    features = _dict({"steps": {"sequence": {"feature": _dict(step)}}})
    (folder / "features.json").write_text(json.dumps(features))
    for shard, episodes in enumerate((ALL[:2], ALL[2:])):
        content = b""
        for e in episodes:
            steps = len(e["action"])
            rows = steps + marked
            last = (np.arange(rows) == rows - 1) & marked
            action = np.concatenate([e["action"], 7 * np.ones((1, 2), np.float32)])[:rows]
            row = {
                "steps/observation/state": e["obs"][:rows].reshape(-1),
                "steps/action": action.reshape(-1),
                "steps/reward": np.append(e["reward"], np.float32(0))[:rows].astype(np.float32),
                "steps/is_last": last.astype(np.int64),
                "steps/is_terminal": last.astype(np.int64),
            }
            message = example(row)
            for name, entries in {
                "steps/observation/rgb": [jpeg(image) for image in e["image"][:rows]],
                "steps/language_instruction": [b"lift it"] * rows,
            }.items():
                values = block(1, b"".join(block(1, entry) for entry in entries))
                message += block(1, block(1, block(1, name.encode()) + block(2, values)))
            content += record(message)
        name = f"arm-train.tfrecord-{shard:05d}-of-00002"
        (folder / name).write_bytes(content)
    return root / "arm"


WRITERS = {
    "zarr_v2": write_zarr,
    "zarr_v3": write_zarr_v3,
    "npz": write_npz,
    "npz_folder": write_npz_folder,
    "rlds": write_rlds,
}
