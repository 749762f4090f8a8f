"""Suffixes, stems and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyscope.errors import BadInput
from anyscope.images import list_images, stem_of
from anyscope.images.names import locate, suffix_of


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir() if name.endswith(".zarr") else (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a.tif", "a", ".tif"),
        ("a.ome.TIFF", "a", ".ome.tiff"),
        ("b/a.v2.png", "a.v2", ".png"),
        ("a.ome.zarr", "a", ".ome.zarr"),
        (".ome.zarr", ".ome", ".zarr"),
        ("a", "a", ""),
        ("x/a.h5:/volumes/raw", "a", ""),
    ],
)
def test_stems_and_suffixes(name: str, stem: str, suffix: str) -> None:
    assert stem_of(name) == stem
    if ":" not in name:
        assert suffix_of(name) == suffix


def test_images_are_sorted_by_stem_and_others_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path, "b.tif", "a.ome.zarr", "c.ome.tif", "notes.txt", ".hidden.tif", "groups.csv", "10.png", "9.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.tif").mkdir()
    assert list(list_images(tmp_path)) == ["10", "9", "a", "b", "c"]
    assert list_images(str(tmp_path))["c"] == tmp_path / "c.ome.tif"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "is empty"),
        (["notes.txt"], r"no image among 1 entries \(notes.txt\)"),
        (["a.tif", "a.png"], "two images with the stem 'a': a.png, a.tif"),
        (["a.czi", "b.czi"], "Zeiss CZI is not read directly"),
        (["zarr.json"], "is one Zarr image"),
    ],
)
def test_folders_without_a_clear_set_of_images(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        list_images(_touch(tmp_path, *names))


def test_missing_folder_and_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        list_images(tmp_path / "missing")
    (tmp_path / "a.tif").touch()
    with pytest.raises(BadInput, match="a folder of images"):
        list_images(tmp_path / "a.tif")


def test_places_inside_files(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    location = locate(tmp_path / "a.h5:/volumes/raw")
    assert (location.path, location.inside) == (tmp_path / "a.h5", "/volumes/raw")
    assert str(location) == f"{tmp_path / 'a.h5'}:/volumes/raw"
    assert locate(tmp_path / "a.h5").inside == ""
