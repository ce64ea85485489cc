"""HDF5 files as other recorders write them: every filter of h5py, virtual arrays, pictures as JPEG, Minari's texts."""

import json

import h5py
import numpy as np
import pytest
from formats import ALL, jpeg, write_d4rl, write_minari
from gymnasium import spaces
from minari.serialization import serialize_space

from ibc.data import read_episodes
from ibc.data.hdf5 import load, rows
from ibc.data.hdf5_observations import find_fields
from ibc.data.stored_frames import StoredFrames
from ibc.errors import UserError


def test_links_are_observations_too(tmp_path):
    """Of a group that holds itself, as deep as names are looked through."""
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        obs = file.create_group("obs")
        obs["inner/a"] = np.zeros((3, 2))
        obs["b"] = obs["inner/a"]
        obs["c"] = h5py.SoftLink("/obs/inner/a")
        obs["lost"] = h5py.SoftLink("/nowhere")
        fields, _ = find_fields(file, "obs")
        assert fields == {"b": "obs/b", "c": "obs/c", "inner/a": "obs/inner/a"}
        obs["inner/self"] = obs["inner"]
        assert len(find_fields(file, "obs")[0]) < 30


NOISE = np.random.default_rng(0).normal(size=(30, 4))


@pytest.mark.parametrize(
    "layout",
    [
        {"compression": "gzip"},
        {"compression": "lzf"},
        {"compression": "lzf", "shuffle": True, "fletcher32": True},
        {"compression": "szip"},
        {"scaleoffset": 6},
        {"fletcher32": True},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("scale", [0, 1, 1e9])
def test_every_filter(layout, scale, tmp_path):
    """Also where a piece does not shrink, and HDF5 leaves the compression out, and where all are zero."""
    if layout.get("compression") == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this build of HDF5 has no szip")
    array = scale * NOISE
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("a", data=array, chunks=(8, 4) if layout else None, **layout)
        np.testing.assert_allclose(load(file, "a"), array, atol=1e-6)
        np.testing.assert_array_equal(np.stack(list(rows(file["a"]))), file["a"][()])


def test_a_virtual_array_is_read_and_its_missing_source_is_named(tmp_path):
    source = write_d4rl(tmp_path)
    with h5py.File(tmp_path / "v.hdf5", "w") as file, h5py.File(source) as original:
        for name in ("observations", "actions", "timeouts"):
            node = original[name]
            layout = h5py.VirtualLayout(node.shape, node.dtype)
            layout[...] = h5py.VirtualSource(source.name, name, node.shape)
            file.create_virtual_dataset(name, layout)
    for episode, e in zip(read_episodes(tmp_path / "v.hdf5"), ALL, strict=True):
        np.testing.assert_array_equal(episode.action, e["action"])
    source.unlink()
    with pytest.raises(UserError, match=f"is in {source.name}, which is not there"):
        list(read_episodes(tmp_path / "v.hdf5"))


def test_pictures_that_do_not_shrink(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        layout = {"compression": "lzf", "chunks": (1, 8, 8, 3)}
        node = file.create_dataset("a", data=frames, **layout)
        stored = StoredFrames(node)
    np.testing.assert_array_equal(np.asarray(stored), frames)


def change_minari(path, name, array, space):
    """Give every episode another observation, and the set Minari's own default, ``jpeg_encoding``."""
    with h5py.File(path / "data/main_data.hdf5", "r+") as file:
        for episode, e in zip(file.values(), ALL, strict=True):
            del episode["observations"]
            episode[name] = array(e)
    about = path / "data/metadata.json"
    metadata = json.loads(about.read_text())
    metadata |= {"jpeg_encoding": True, "observation_space": serialize_space(space)}
    about.write_text(json.dumps(metadata))


class TestMinariJpeg:
    @pytest.mark.parametrize(("shape", "name"), [((8, 10, 3), "image"), ((240,), "state")])
    def test_what_minari_does_not_encode_is_read_as_it_is(self, shape, name, tmp_path):
        path = write_minari(tmp_path)
        space = spaces.Box(0, 255, shape, np.uint8)
        count = int(np.prod(shape))
        change_minari(
            path,
            "observations",
            lambda e: e["image"].reshape(len(e["image"]), -1)[:, :count].reshape(-1, *shape),
            space,
        )
        for episode, e in zip(read_episodes(path), ALL, strict=True):
            expected = e["image"].reshape(len(e["image"]), -1).astype(np.float32)
            got = np.asarray(episode.obs[name]).reshape(len(e["image"]), -1)
            np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("channels", [3, 1])
    @pytest.mark.parametrize("name", ["observations", "observations/front"])
    def test_what_it_encodes_is_decoded(self, name, channels, tmp_path):
        path = write_minari(tmp_path)
        shape = (40, 48) if channels == 1 else (40, 48, 3)
        space = spaces.Box(0, 255, shape, np.uint8)
        dtype = h5py.vlen_dtype(np.uint8)

        def encoded(e):
            flat = [np.full((40, 48, 3), 20 * t, np.uint8) for t in range(len(e["obs"]))]
            files = [np.frombuffer(jpeg(picture), np.uint8) for picture in flat]
            out = np.empty(len(files), dtype=dtype)
            out[:] = files
            return out

        change_minari(path, name, encoded, spaces.Dict({"front": space}) if "/" in name else space)
        for episode in read_episodes(path):
            (frames,) = episode.obs.values()
            assert frames.shape == (len(episode) + 1, 40, 48, channels)
            levels = np.asarray(frames).mean(axis=(1, 2, 3))
            np.testing.assert_allclose(levels, 20 * np.arange(len(frames)), atol=2)


def test_a_text_beside_the_state(tmp_path):
    path = write_minari(tmp_path)
    with h5py.File(path / "data/main_data.hdf5", "r+") as file:
        for episode in file.values():
            texts = np.array(["go"] * len(episode["observations/state"]), dtype=object)
            episode["observations/mission"] = texts
    for episode in read_episodes(path):
        assert set(episode.obs) == {"state", "camera"}
        assert episode.text == {"mission": "go"}


def test_an_unknown_file_is_named_with_what_is_in_it(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for number in range(7):
            file[f"trial_{number}/pose"] = np.zeros(3)
    with pytest.raises(UserError, match=r"\(trial_0, .*, trial_4, \.\.\.\) is in none of the"):
        list(read_episodes(tmp_path / "x.hdf5"))
