"""What an encoder makes of pictures: the background vanishes, and a peak says where and what."""

import pytest
import torch
import torch.nn.functional as F
from conftest import built

from ibc.nn import ConvSpatialSoftmax, EquivariantSpatialSoftmax
from ibc.nn.normalizer import BackgroundNormalizer
from ibc.nn.vision.augment import center_crop, color_jitter, random_crop, random_shift
from ibc.nn.vision.normalization import image_normalizer

SHAPE = (6, 5, 3)


def test_pictures_are_standardized_by_their_background_and_one_scale():
    pictures = torch.randint(0, 256, (41, *SHAPE), dtype=torch.uint8)
    normalizer = BackgroundNormalizer(SHAPE)
    normalizer.fit(pictures)
    seen = normalizer(pictures.permute(0, 3, 1, 2))
    torch.testing.assert_close(seen.median(0).values, torch.zeros(3, 6, 5), atol=0, rtol=0)
    assert seen.square().mean().sqrt().item() == pytest.approx(1, rel=1e-4)


def test_a_picture_of_floats_is_left_as_it_is():
    normalizer = BackgroundNormalizer(SHAPE)
    normalizer.fit(torch.randint(0, 256, (9, *SHAPE), dtype=torch.uint8))
    picture = torch.full((1, 3, 6, 5), 100.0)
    normalizer(picture)
    assert (picture == 100).all()


def test_what_never_changes_vanishes_and_is_not_blown_up():
    """A still camera: all pictures alike have no deviation to divide by."""
    still = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    normalizer = BackgroundNormalizer(SHAPE)
    normalizer.fit(still.repeat(4, 1, 1, 1))
    now = still.clone()
    now[2, 3, 1] += 1
    seen = normalizer(now.permute(2, 0, 1)[None])[0]
    assert seen[1, 2, 3].abs().item() == pytest.approx(1, abs=1e-4)
    assert torch.count_nonzero(seen) == 1


def test_what_moves_leaves_no_ghost_where_it_has_been():
    """One thing at another place in each picture: all that is left of a picture without it is nothing."""
    empty = torch.full(SHAPE, 200, dtype=torch.uint8)
    pictures = empty.repeat(5, 1, 1, 1)
    for i, picture in enumerate(pictures):
        picture[i, i] = 10
    normalizer = BackgroundNormalizer(SHAPE)
    normalizer.fit(pictures)
    assert torch.count_nonzero(normalizer(empty.permute(2, 0, 1)[None])) == 0
    assert torch.count_nonzero(normalizer(pictures[:1].permute(0, 3, 1, 2))) == 3


def test_frames_of_a_stack_share_the_background():
    normalizer = BackgroundNormalizer(SHAPE)
    normalizer.fit(torch.randint(0, 256, (9, *SHAPE), dtype=torch.uint8))
    frame = torch.randint(0, 256, (1, 3, 6, 5), dtype=torch.uint8)
    older, newer = normalizer(torch.cat([frame, frame], 1)).chunk(2, dim=1)
    torch.testing.assert_close(older, newer, atol=0, rtol=0)


def test_a_peak_also_says_what_is_there():
    """Two maps that peak at the same place and differ in another channel have the same place and other values."""
    encoder = built(ConvSpatialSoftmax(width=4, num_blocks=1, num_values=2), 1)
    encoder.strided.weight.data.zero_()
    for conv in encoder.convs:
        conv.weight.data.zero_()
        conv.bias.data.zero_()
    features = []
    for bias in (0.5, 1.5):  # everywhere the same, so no peak moves
        encoder.strided.bias.data.fill_(bias)
        features.append(encoder(torch.zeros(1, 1, 8, 8))[0])
    places, values = zip(*[(f[:8], f[8:]) for f in features], strict=True)
    torch.testing.assert_close(*places, atol=1e-6, rtol=0)
    assert (values[0] - values[1]).abs().min() > 1e-3


def test_coordinates_are_channels_of_the_picture():
    """Two coordinate planes beside the picture, as published, without a copy of the picture."""
    encoder = built(ConvSpatialSoftmax(num_blocks=0), 3)
    picture = torch.randn(2, 3, 20, 28)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 28), indexing="ij")
    planes = torch.stack([x, y]).expand(2, -1, -1, -1)
    maps = encoder.strided(torch.cat([picture, planes], 1))
    where = encoder.where(maps)
    torch.testing.assert_close(encoder(picture)[:, : where.shape[1]], where, atol=1e-5, rtol=1e-5)


def test_a_shift_moves_every_picture_by_itself_and_repeats_its_border():
    pictures = torch.randn(64, 2, 5, 7)
    moved = random_shift(pictures, 1)
    repeated = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    found = set()
    for picture, around in zip(moved, repeated, strict=True):
        places = {
            (top, left)
            for top in range(3)
            for left in range(3)
            if torch.equal(picture, around[:, top : top + 5, left : left + 7])
        }
        assert len(places) == 1
        found |= places
    assert len(found) == 9


def test_what_moves_moves_all_its_peaks_as_much():
    """At the border as in the middle, for any weights."""
    encoder = built(EquivariantSpatialSoftmax(width=4), 3)
    encoder.where.log_temperature.data.fill_(-3.0)
    thing = torch.randn(3, 4, 4)
    picture = torch.zeros(3, 3, 30, 22)
    for i, (top, left) in enumerate([(0, 0), (9, 4), (26, 18)]):
        picture[i, :, top : top + 4, left : left + 4] = thing
    x, y = encoder(picture).view(3, 2, 4).unbind(1)
    for axis, side, places in ((x, 22, (0, 4, 18)), (y, 30, (0, 9, 26))):
        moved = axis - axis[:1]
        cells = side + 12 - 1  # the map has a margin of six on each side
        share = moved[2] / (2 * places[2] / cells)  # the part of the weight that is on the thing
        torch.testing.assert_close(moved[1], share * 2 * places[1] / cells, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", ["none", "standard", "imagenet"])
def test_channels_are_standardized(kind):
    pictures = torch.randint(0, 256, (41, *SHAPE), dtype=torch.uint8)
    pictures[..., 1] //= 4
    normalizer = image_normalizer(kind, SHAPE)
    normalizer.fit(pictures)
    seen = normalizer(pictures.permute(0, 3, 1, 2))
    channels = pictures.double().flatten(0, 2)
    expected = {
        "none": channels / 255,
        "standard": (channels - channels.mean(0)) / channels.std(0, correction=0),
        "imagenet": (channels / 255 - torch.tensor([0.485, 0.456, 0.406]))
        / torch.tensor([0.229, 0.224, 0.225]),
    }[kind]
    torch.testing.assert_close(seen.permute(0, 2, 3, 1).flatten(0, 2), expected.float())


def test_colors_change_alike_in_all_frames_and_stay_colors():
    frames = torch.randint(60, 190, (16, 1, 3, 5, 4), dtype=torch.uint8).expand(-1, 2, -1, -1, -1)
    seen = color_jitter(frames.flatten(1, 2), 3, 0.3)
    older, newer = seen.chunk(2, 1)
    assert torch.equal(older, newer)
    assert seen.min() >= 0
    assert seen.max() <= 255
    ratio = older.mean((1, 2, 3)) / frames[:, 0].float().mean((1, 2, 3))
    assert (ratio - 1).abs().max() <= 0.3 + 1e-5
    assert ratio.std() > 0.05
    torch.testing.assert_close(
        color_jitter(frames.flatten(1, 2), 3, 0.0), frames.flatten(1, 2).float()
    )


def test_a_crop_is_anywhere_in_training_and_the_middle_otherwise():
    picture = torch.arange(30.0).view(1, 1, 5, 6)
    assert torch.equal(center_crop(picture, (3, 2))[0, 0], picture[0, 0, 1:4, 2:4])
    corners = random_crop(picture.expand(200, -1, -1, -1), (3, 2))[:, 0, 0, 0]
    assert sorted(set(corners.tolist())) == [
        6.0 * row + column for row in range(3) for column in range(5)
    ]
