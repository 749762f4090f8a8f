"""Dataset folders: what is read, what is refused, what cannot leak."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.datasets import PARTS, UnlabelledImages, open_dataset
from anyscope.datasets.folder import objects_of_mask
from anyscope.datasets.split import default_split
from anyscope.errors import AnyscopeError, BadInput
from anyscope.geometry import Roi, VoxelSize
from anyscope.images import Intensity, ReadOptions


def test_a_stack_with_a_declared_split(make_dataset, blobs):
    image, labels = blobs(shape=(3, 64, 96))
    split = {"train": {"s": "[:, :, :40]"}, "val": {"s": "[:, :, 44:60]"}, "test": {"s": "[:, :, 64:]"}}
    root = make_dataset({"s": (image, labels)}, {"voxel_size_nm": [50, 4, 4], "labels": "mask", "split": split})
    dataset = open_dataset(root)
    region = dataset.labelled("val")[0]
    assert region.roi == Roi((0, 0, 44), (3, 64, 60))
    assert region.voxel_size_nm == VoxelSize(50, 4, 4)
    assert np.array_equal(region.read_labels(), labels[:, :, 44:60])
    reference, valid = region.read_reference("semantic")
    assert np.array_equal(reference, labels[:, :, 44:60] > 0)
    assert valid.all()
    unit = region.read_unit(Intensity(kind="fixed", low=0, high=255))
    assert np.allclose(unit[0], image[:, :, 44:60] / 255, atol=1e-6)


def test_the_range_of_a_region_does_not_see_the_rest(make_dataset):
    image = np.zeros((1, 64, 64), np.uint8)
    image[:, :, :32], image[:, :, 48:] = 10, 250
    image[:, :8, :8] = 20
    split = {"train": {"s": "[:, :32]"}, "test": {"s": "[:, 48:]"}}
    dataset = open_dataset(make_dataset({"s": (image, image > 0)}, {"split": split}))
    assert dataset.labelled("train")[0].read_unit(Intensity()).max() == 1


def test_images_without_labels_cannot_be_asked_for_them(make_dataset, blobs):
    dataset = open_dataset(make_dataset({"a": (blobs()[0], None)}))
    images = dataset.unlabelled(None)
    assert isinstance(images, UnlabelledImages)
    assert not any("label" in name for name in dir(images[0]))
    with pytest.raises(BadInput, match="labels: no such folder"):
        dataset.labelled(None)


def test_forgetting_labels_leaves_no_path_to_them(make_dataset, blobs):
    images = open_dataset(make_dataset({"a": blobs()})).labelled(None).without_labels()
    assert "/labels/" not in repr(images)


@pytest.mark.parametrize(
    ("values", "declared", "kind"),
    [
        ([0, 1], None, "mask"),
        ([0, 255], None, "instances"),
        ([0, 255], "mask", "mask"),
        ([0, 1], "instances", "instances"),
    ],
)
def test_the_kind_of_labels(make_dataset, blobs, values, declared, kind):
    labels = np.where(blobs()[1] > 0, values[1], values[0]).astype(np.uint8)
    dataset = open_dataset(make_dataset({"a": (blobs()[0], labels)}, {"labels": declared} if declared else None))
    assert dataset.kind == kind


def test_ignored_labels_count_nowhere(make_dataset, blobs):
    image, labels = blobs()
    labels[:, :4] = 255
    dataset = open_dataset(make_dataset({"a": (image, labels)}, {"ignore": [255]}))
    reference, valid = dataset.labelled(None)[0].read_reference("instances")
    assert reference.max() == 2
    assert np.array_equal(valid, labels != 255)


def test_classes_outside_the_declared_ones_are_refused(make_dataset, blobs):
    dataset = open_dataset(make_dataset({"a": blobs()}, {"labels": "classes", "classes": ["background", "cell"]}))
    assert dataset.classes == 2
    with pytest.raises(BadInput, match="the label value 2; expected classes 0 to 1"):
        dataset.labelled(None)[0].read_reference("semantic")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / "labels" / "b.tif").unlink(), r"no file for 1 of the files in images/ \(b\)"),
        (lambda root: (root / "images" / "b.tif").unlink(), r"no file for 1 of the files in labels/ \(b\)"),
        (lambda root: (root / "dataset.yaml").write_text("labels: [a"), "is not YAML"),
        (lambda root: (root / "dataset.yaml").write_text("- a"), "not a mapping"),
        (lambda root: (root / "dataset.yaml").write_text("colour: red"), "key 'colour'.*known keys"),
        (lambda root: (root / "dataset.yaml").write_text("voxel_size_nm: [0, 1]"), "voxel_size_nm"),
        (lambda root: (root / "dataset.yaml").write_bytes(b"\xff\xfe\x00"), "not text in UTF-8"),
    ],
)
def test_bad_folders_are_one_line(make_dataset, blobs, break_it, message):
    root = make_dataset({"a": blobs(0), "b": blobs(1), "c": blobs(2)})
    break_it(root)
    with pytest.raises(BadInput, match=message) as caught:
        open_dataset(root)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(BadInput, match="there is no folder images/"):
        open_dataset(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(AnyscopeError, match="empty|no image"):
        open_dataset(tmp_path)


def test_shapes_must_match(make_dataset, blobs):
    root = make_dataset({"a": (blobs()[0], blobs(shape=(1, 64, 70))[1])})
    with pytest.raises(BadInput, match=r"shape \(1, 64, 70\).*expected \(1, 64, 64\)"):
        open_dataset(root)


def test_a_voxel_size_that_is_given_stands_above_the_file(make_dataset, blobs):
    root = make_dataset({"a": blobs()}, {"voxel_size_nm": [4, 4]})
    assert open_dataset(root, ReadOptions(voxel_size_nm=(5, 5))).voxel_size_nm("a") == VoxelSize(None, 5, 5)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": {"a": "[:, :40]"}, "test": {"a": "[:, 30:]"}}, "train and test share"),
        ({"train": ["a"], "val": ["a"]}, "train and val share"),
        ({"train": {"z": "[:, :]"}}, "names 'z'"),
        ({"train": {"a": "[:, 90:]"}}, "empty"),
        ({"training": ["a"]}, "split"),
    ],
)
def test_splits_that_leak_or_miss_are_refused(make_dataset, blobs, split, message):
    root = make_dataset({"a": blobs()}, {"split": split})
    with pytest.raises(BadInput, match=message):
        _ = open_dataset(root).split


def test_the_default_split_is_that_of_the_design():
    stems = [f"image{number}" for number in range(200)]
    split, _ = default_split(dict.fromkeys(stems, (1, 8, 8)))
    for part, wanted in (("test", {0, 1}), ("val", {2}), ("train", {3, 4, 5, 6, 7, 8, 9})):
        assert {int(hashlib.sha1(stem.encode()).hexdigest(), 16) % 10 for stem in split[part]} == wanted
    assert sum(map(len, split.values())) == 200


SHAPES = st.tuples(st.integers(1, 9), st.integers(40, 99), st.integers(40, 99))


@given(st.dictionaries(st.text(min_size=1, max_size=5), SHAPES, min_size=1, max_size=12))
def test_every_default_split_is_whole_and_shares_no_voxel(shapes):
    split, _ = default_split(shapes)
    assert all(split[part] for part in PARTS)
    for stem, shape in shapes.items():
        seen = np.zeros(shape, np.uint8)
        for part in PARTS:
            if stem in split[part]:
                seen[split[part][stem].slices] += 1
        assert seen.max() == 1


def test_one_stack_is_cut_along_its_longest_axis_with_a_gap():
    split, rule = default_split({"s": (20, 512, 1024)})
    ends = [(split[part]["s"].start[2], split[part]["s"].stop[2]) for part in ("train", "val", "test")]
    assert ends == [(0, 672), (704, 800), (832, 1024)]
    assert "gap" in rule


@pytest.mark.parametrize(("objects", "count"), [("2d", 5), ("3d", 2), (None, 2)])
def test_objects_of_a_mask_are_its_components(make_dataset, objects, count):
    """Two discs that touch at a corner of one slice only, one of them in three slices, the other in two."""
    mask = np.zeros((3, 12, 12), np.uint8)
    mask[:, 1:5, 1:5] = 255
    mask[1:, 7:11, 7:11] = 255
    described = {"labels": "mask"} | ({"objects": objects} if objects else {})
    region = open_dataset(make_dataset({"s": (mask, mask)}, described)).labelled(None)[0]
    assert region.read_reference("instances")[0].max() == count
    assert region.planes(1, 2).read_reference("instances")[0].max() == 2
    assert set(np.unique(region.read_reference("semantic")[0])) == {0, 1}
    touching = mask.copy()
    touching[1, 5:7, 5:7] = np.eye(2, dtype=np.uint8)
    assert objects_of_mask(touching > 0, "2d").max() == 4  # corners touch
    assert objects_of_mask(touching > 0, "3d").max() == 1


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"labels": "mask", "objects": "3d"}, "26-connected components"),
        ({"labels": "mask", "objects": "2d"}, "8-connected components of each slice"),
        ({"labels": "instances"}, ""),
    ],
)
def test_how_masks_make_objects_is_said(make_dataset, blobs, described, words):
    dataset = open_dataset(make_dataset({"s": blobs(shape=(3, 64, 96))}, described))
    assert dataset.objects_in_words("instances").startswith(words)
    assert bool(dataset.objects_in_words("instances")) == bool(words)
    assert dataset.objects_in_words("semantic") == ""
