"""Images that are no dataset: what is opened, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from anyscope.datasets import is_dataset, open_unlabelled
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images import ReadOptions, write_image


@pytest.fixture
def loose(tmp_path):
    """Ten images of their own, beside what is none."""
    folder = tmp_path / "loose"
    folder.mkdir()
    for number in range(10):
        write_image(folder / f"cell{number}.tif", np.full((1, 1, 32, 40), number, np.uint8))
    (folder / "notes.txt").write_text("from the third floor")
    return folder


def test_a_folder_of_images(loose):
    dataset = open_unlabelled(loose, ReadOptions(voxel_size_nm=(100, 100)))
    assert not is_dataset(loose)
    assert [region.stem for region in dataset.unlabelled(None)] == [f"cell{number}" for number in range(10)]
    assert dataset.voxel_size_nm("cell3") == VoxelSize.of((100, 100))
    assert dataset.labels is None
    parts = {part: {region.stem for region in dataset.unlabelled(part)} for part in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 10


def test_one_image(loose):
    dataset = open_unlabelled(loose / "cell4.tif")
    assert [region.stem for region in dataset.unlabelled(None)] == ["cell4"]
    assert dataset.unlabelled(None)[0].image.read().max() == 4


def test_of_a_dataset_folder_images_alone(make_dataset, blobs):
    root = make_dataset({"a": blobs()}, {"voxel_size_nm": [5, 5]})
    assert is_dataset(root)
    dataset = open_unlabelled(root)
    assert dataset.labels is None
    assert dataset.voxel_size_nm("a") == VoxelSize.of((5, 5))


def test_what_holds_no_image_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no image")
    for name, found in (("empty", "is empty"), ("text.txt", "not an image"), ("gone", "no such file")):
        with pytest.raises(BadInput, match=found):
            open_unlabelled(tmp_path / name)
