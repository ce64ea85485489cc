"""The content of a data set: its files and their names in it, and nothing else."""

import pytest

from ibc.data.content import content_digest
from ibc.errors import UserError


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "inner").mkdir(parents=True)
    (data / "a").write_bytes(b"1")
    (data / "inner/.zarray").write_bytes(b"2")
    return data


def test_it_moves_with_the_data(folder, tmp_path):
    before = content_digest(folder)
    assert content_digest(folder.rename(tmp_path / "moved")) == before


def test_what_file_managers_leave_does_not_count(folder):
    before = content_digest(folder)
    (folder / ".DS_Store").write_bytes(b"3")
    assert content_digest(folder) == before


@pytest.mark.parametrize("change", ["content", "name", "hidden file", "more"])
def test_every_file_and_every_name_counts(change, folder):
    before = content_digest(folder)
    if change == "content":
        (folder / "a").write_bytes(b"3")
    elif change == "name":
        (folder / "a").rename(folder / "b")
    elif change == "hidden file":  # zarr describes its arrays in such
        (folder / "inner/.zarray").write_bytes(b"3")
    else:
        (folder / "b").write_bytes(b"")
    assert content_digest(folder) != before


def test_what_lies_behind_a_link_counts(folder, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/video").write_bytes(b"1")
    (folder / "videos").symlink_to(tmp_path / "disk")
    (folder / "inner/around").symlink_to(folder)  # which has no end
    before = content_digest(folder)
    (tmp_path / "disk/video").write_bytes(b"2")
    assert content_digest(folder) != before


def test_it_is_the_same_through_links_and_of_plain_folders(folder, tmp_path):
    """Pictures that have been kept are found again."""
    (folder / "inner").rename(tmp_path / "inner")
    (folder / "inner").symlink_to(tmp_path / "inner")
    through = content_digest(folder)
    (folder / "inner").unlink()
    (tmp_path / "inner").rename(folder / "inner")
    assert content_digest(folder) == through


def test_hidden_folders_are_no_part_of_it(folder):
    before = content_digest(folder)
    (folder / ".frames/x").mkdir(parents=True)
    (folder / ".frames/x/0.raw").write_bytes(b"1")
    assert content_digest(folder) == before


def test_of_a_file_its_bytes_alone(folder):
    before = content_digest(folder / "a")
    assert content_digest((folder / "a").rename(folder / "b")) == before
    (folder / "b").write_bytes(b"")
    assert content_digest(folder / "b") != before


def test_a_file_that_cannot_be_opened_is_named(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hashlib.file_digest", refuse)
    with pytest.raises(UserError, match="cannot read .*Permission denied"):
        content_digest(folder)
