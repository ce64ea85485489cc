"""Which arrays are pictures, what is said of those that are not, and what crop and size make of them."""

import cv2
import h5py
import numpy as np
import pytest
from formats import write_robomimic

from ibc.data import read_episodes
from ibc.data.episode import InvalidEpisode
from ibc.data.frames import decode_image
from ibc.data.pictures import as_picture, fit_picture, is_picture
from ibc.errors import UserError

BYTE, FLOAT = np.dtype(np.uint8), np.dtype(np.float32)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((16, 16, 3), BYTE, True),
        ((96, 96, 1), BYTE, True),
        ((128,), BYTE, False),
        ((96, 96, 3), FLOAT, True),
        ((48, 64, 1), np.dtype(np.uint16), True),  # depth, perhaps: refused where it is above 255
        ((9, 2), FLOAT, False),
        ((3, 4, 3), FLOAT, False),
    ],
)
def test_what_is_a_picture(shape, dtype, expected):
    assert is_picture("x", shape, dtype) == expected


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((3, 32, 32), BYTE, "with the channels first; pictures are uint8"),
        ((3, 96, 128), FLOAT, "with the channels first"),
        ((84, 84), BYTE, "without channels"),
        ((84, 84), FLOAT, "without channels"),
    ],
)
def test_other_layouts_are_named(shape, dtype, message):
    with pytest.raises(InvalidEpisode, match=message):
        is_picture("x", shape, dtype)


def test_whole_numbers_are_bytes_and_others_are_not():
    assert as_picture(np.array([0.0, 255.0])).tolist() == [0, 255]
    for wrong in (0.5, 256.0, -1.0, np.nan):
        with pytest.raises(InvalidEpisode, match="stored as uint8, 0 to 255"):
            as_picture(np.array([wrong]))


def test_sixteen_bits_are_not_made_eight():
    depth = np.arange(48, dtype=np.uint16).reshape(6, 8) * 100
    content = cv2.imencode(".png", depth)[1].tobytes()
    with pytest.raises(InvalidEpisode, match="an image is uint16, depth perhaps"):
        decode_image(content)
    content = cv2.imencode(".png", (depth // 100).astype(np.uint8))[1].tobytes()
    np.testing.assert_array_equal(decode_image(content)[..., 1], depth // 100)


def test_pictures_with_their_channels_first_in_a_file(tmp_path):
    path = write_robomimic(tmp_path)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            demo["obs/front"] = np.zeros((len(demo["actions"]), 3, 16, 20), np.uint8)
    with pytest.raises(
        UserError, match=r"episode 0: 'obs/front' has shape \(3, 16, 20\), with the"
    ):
        list(read_episodes(path))


def test_cut_then_made_smaller():
    picture = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    with pytest.raises(UserError, match=r"gray ones \(H, W, 1\)"):
        fit_picture(picture[..., 0], crop=[2, 4, 4, 6])
    part = fit_picture(picture, crop=[2, 4, 4, 6])
    np.testing.assert_array_equal(part, picture[2:6, 4:10])
    small = fit_picture(picture, crop=[2, 4, 4, 6], size=[2, 3])
    means = part.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small, means, atol=0.51)
    gray = fit_picture(picture[..., :1], size=[4, 6])
    assert gray.shape == (4, 6, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": [6, 0, 4, 4]}, "not inside of 'picture', which has 8 rows and 12 columns"),
        ({"crop": [0, 0, 4]}, "it is .top, left, height, width. in pixels"),
        ({"size": [0, 4]}, "it is .height, width. in pixels"),
    ],
)
def test_numbers_that_do_not_fit(wrong, message):
    with pytest.raises(UserError, match=message):
        fit_picture(np.zeros((8, 12, 3), np.uint8), **wrong)
