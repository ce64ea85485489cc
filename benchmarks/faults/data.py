"""Hostile data sets: damage at random in every format, links, pipes, sizes that no file has, tensors of odd kinds."""

import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from benchmarks.faults.attempt import Outcome, attempt

COUNT = 60
LENGTHS = (4, 6, 3)


def hostile_data(folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Convert each of them, for which all of it is read."""
    for name, write in WRITERS.items():
        good = folder / "good"
        good.mkdir()
        write(good)
        for case, path in _damaged(good, folder / "bad", random.Random(name)):
            yield f"{name}, {case}", attempt(["convert", str(path), "out"], folder)
        shutil.rmtree(good)
    for name, make in STRUCTURES.items():
        place = folder / "odd"
        place.mkdir()
        path = make(place)
        shutil.rmtree(folder / "out", ignore_errors=True)
        outcome = attempt(["convert", str(path), "out"], folder)
        if outcome.seconds > 10:
            outcome = Outcome("hang", outcome.line, outcome.seconds)
        yield name, outcome
        shutil.rmtree(place)


def _damaged(good: Path, bad: Path, rng: random.Random) -> Iterator[tuple[str, Path]]:
    files = sorted(path.relative_to(good) for path in good.rglob("*") if path.is_file())
    top = next(iter(sorted(good.iterdir())))
    for number in range(COUNT):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        chosen = rng.choice(files)
        data = bytearray((bad / chosen).read_bytes())
        for _ in range(rng.choice([1, 4, 50])):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else len(data)
        (bad / chosen).write_bytes(data[:cut])
        yield f"damage {number} of {chosen}", bad / top.name


def _numbers(steps: int) -> Mapping[str, np.ndarray]:
    rng = np.random.default_rng(steps)
    return {
        "state": rng.normal(size=(steps, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        "image": rng.integers(0, 256, (steps, 8, 10, 3), dtype=np.uint8),
    }


def _d4rl(root: Path) -> None:
    with h5py.File(root / "data.hdf5", "w") as file:
        total = sum(LENGTHS)
        file["observations"] = _numbers(total)["state"]
        file["actions"] = _numbers(total)["action"]
        file["rewards"] = np.zeros(total, np.float32)
        file["terminals"] = np.zeros(total, np.bool_)
        file["timeouts"] = np.isin(np.arange(total), np.cumsum(LENGTHS) - 1)


def _minari(root: Path) -> None:
    import gymnasium as gym

    from ibc.data import DemonstrationWriter, Episode

    writer = DemonstrationWriter(
        root / "data",
        observation_space=gym.spaces.Dict(
            state=gym.spaces.Box(-9, 9, (3,)), image=gym.spaces.Box(0, 255, (8, 10, 3), np.uint8)
        ),
        action_space=gym.spaces.Box(-1, 1, (2,)),
    )
    for steps in LENGTHS:
        arrays = dict(_numbers(steps))
        writer.append(
            Episode.recorded({k: v for k, v in arrays.items() if k != "action"}, arrays["action"])
        )
    writer.close()


def _robomimic(root: Path) -> None:
    with h5py.File(root / "data.hdf5", "w") as file:
        for number, steps in enumerate(LENGTHS):
            arrays = _numbers(steps)
            group = file.create_group(f"data/demo_{number}")
            group.attrs["num_samples"] = steps
            group["actions"], group["rewards"] = arrays["action"], np.zeros(steps)
            group["dones"] = np.eye(steps)[-1]
            for kind in ("obs", "next_obs"):
                group[f"{kind}/state"], group[f"{kind}/image"] = arrays["state"], arrays["image"]


def _npz(root: Path) -> None:
    np.savez(root / "data.npz", **_numbers(sum(LENGTHS)), episode_ends=np.cumsum(LENGTHS))


def _zarr(root: Path) -> None:
    import zarr

    group = zarr.open_group(str(root / "data.zarr"), mode="w", zarr_format=2)
    for name, array in _numbers(sum(LENGTHS)).items():
        group.create_array(f"data/{name}", data=array)
    group.create_array("meta/episode_ends", data=np.cumsum(LENGTHS))


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "D4RL": _d4rl,
    "Minari": _minari,
    "robomimic": _robomimic,
    "numpy": _npz,
    "zarr": _zarr,
}


def _pipe(root: Path) -> Path:
    os.mkfifo(root / "data.hdf5")
    return root / "data.hdf5"


def _pipe_in_minari(root: Path) -> Path:
    _minari(root)
    path = next((root / "data").rglob("*.hdf5"))
    path.unlink()
    os.mkfifo(path)
    return root / "data"


def _pipe_in_folder(root: Path) -> Path:
    (root / "data").mkdir()
    os.mkfifo(root / "data/episode.npz")
    return root / "data"


def _external(root: Path) -> Path:
    """Numbers that are said to be in a file of the system."""
    _d4rl(root)
    with h5py.File(root / "data.hdf5", "r+") as file:
        del file["observations"]
        file.create_dataset("observations", (13, 3), "u1", external=[("/etc/passwd", 0, 39)])
    return root / "data.hdf5"


def _linked(root: Path) -> Path:
    _d4rl(root)
    (root / "data.hdf5").rename(root / "other.hdf5")
    with h5py.File(root / "data.hdf5", "w") as file:
        for name in ("observations", "actions", "rewards", "terminals", "timeouts"):
            file[name] = h5py.ExternalLink("other.hdf5", name)
    return root / "data.hdf5"


def _huge(root: Path) -> Path:
    """10^12 numbers of which none is stored."""
    with h5py.File(root / "data.hdf5", "w") as file:
        for name, width in (("observations", 1000), ("actions", 1000)):
            file.create_dataset(name, (10**9, width), "f4", chunks=(1000, width))
        for name in ("rewards", "terminals", "timeouts"):
            file.create_dataset(name, (10**9,), "f4", chunks=(1000,))
    return root / "data.hdf5"


def _bomb(root: Path) -> Path:
    """A compressed file that is a thousand times as long in memory."""
    np.savez_compressed(
        root / "data.npz",
        action=np.zeros((2**27, 2), np.float32),
        state=np.zeros((2**27, 2), np.float32),
    )
    return root / "data.npz"


def _odd_type(kind: object) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        _d4rl(root)
        with h5py.File(root / "data.hdf5", "r+") as file:
            del file["actions"]
            file.create_dataset("actions", (13, 2), kind)
        return root / "data.hdf5"

    return make


def _cycle(root: Path) -> Path:
    _robomimic(root)
    with h5py.File(root / "data.hdf5", "r+") as file:
        file["data/demo_0/obs/again"] = file["data/demo_0/obs"]
    return root / "data.hdf5"


def _objects(root: Path) -> Path:
    np.savez(root / "data.npz", action=np.array([{}], object), state=np.zeros((1, 2)))
    return root / "data.npz"


def _record_of_huge_length(root: Path) -> Path:
    (root / "data.tfrecord").write_bytes(struct.pack("<QI", 2**62, 0) + b"x" * 100)
    return root / "data.tfrecord"


STRUCTURES: Mapping[str, Callable[[Path], Path]] = {
    "a pipe": _pipe,
    "a pipe among Minari's files": _pipe_in_minari,
    "a pipe in a folder": _pipe_in_folder,
    "numbers of a file of the system": _external,
    "links to another file": _linked,
    "10^12 numbers": _huge,
    "a compressed file that expands": _bomb,
    "complex actions": _odd_type("c8"),
    "actions of text": _odd_type(h5py.string_dtype()),
    "actions that are references": _odd_type(h5py.ref_dtype),
    "actions that are boolean": _odd_type("?"),
    "a group within itself": _cycle,
    "Python objects": _objects,
    "a record of 2^62 bytes": _record_of_huge_length,
}
