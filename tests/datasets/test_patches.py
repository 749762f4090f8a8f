"""Patches: seeded, foreground-aware, the same whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anyscope.datasets import open_dataset
from anyscope.datasets.patches import PatchSampler
from anyscope.datasets.planes import PlaneReader
from anyscope.errors import BadInput
from anyscope.images import Intensity, write_image, write_labels
from anyscope.images.resampling import resample_image, resample_labels

FIXED = Intensity(kind="fixed", low=0, high=255)


@pytest.fixture
def planes(make_dataset, blobs):
    root = make_dataset({"a": blobs(0, (3, 64, 96)), "b": blobs(1, (1, 80, 64))}, {"voxel_size_nm": [4, 4]})
    regions = open_dataset(root).labelled(None).regions
    return lambda **changes: PlaneReader(regions, "instances", **{"intensity": FIXED, "pixel_size_nm": None, **changes})


def test_a_patch_depends_on_its_number_alone(planes):
    one = PatchSampler(planes(), 32, 0, 0.5, seed=1)
    other = PatchSampler(planes(budget_bytes=1), 32, 0, 0.5, seed=1)
    drawn = [one.draw(number) for number in range(12)]
    for number in reversed(range(12)):
        again = other.draw(number)
        assert np.array_equal(again.image, drawn[number].image)
        assert np.array_equal(again.labels, drawn[number].labels)
    assert not np.array_equal(drawn[0].image, drawn[1].image)
    assert not np.array_equal(PatchSampler(planes(), 32, 0, 0.5, seed=2).draw(0).image, drawn[0].image)


def test_foreground_is_found_when_asked_for(planes):
    share = {}
    for foreground in (0.0, 1.0):
        sampler = PatchSampler(planes(), 16, 0, foreground, seed=0)
        share[foreground] = np.mean([sampler.draw(number).labels.any() for number in range(100)])
    assert share[1.0] == 1.0
    assert share[0.0] < 0.9


def test_image_and_labels_stay_together(planes):
    sampler = PatchSampler(planes(), 48, 0, 0.5, seed=0)
    for number in range(10):
        patch = sampler.draw(number)
        assert patch.image.shape == (1, 48, 48)
        assert np.array_equal(patch.image[0] * 255 > 100, patch.labels[0] > 0)


def test_small_planes_are_continued_by_reflection(planes):
    patch = PatchSampler(planes(), 128, 0, 0.5, seed=0).draw(0)
    assert patch.image.shape == (1, 128, 128)
    assert np.array_equal(patch.image[0] * 255 > 100, patch.labels[0] > 0)


def test_neighbours_are_channels_and_the_last_plane_is_repeated(planes):
    reader = planes()
    slab = reader.slab(0, 0, 1)
    assert slab.shape == (3, 64, 96)
    assert np.array_equal(slab[0], slab[1])
    assert np.array_equal(slab[2], reader.plane(0, 1).image[0])


def test_the_working_pixel_size_scales_image_and_labels(planes):
    reader = planes(pixel_size_nm=8.0)
    plane = reader.plane(0, 0)
    assert plane.image.shape == (1, 32, 48)
    inside = ndimage.binary_erosion(plane.labels > 0)
    assert (plane.image[0][inside] * 255 > 100).all()


def test_planes_are_dropped_when_the_budget_is_used_up(planes):
    reader = planes(budget_bytes=40_000)
    for z in range(3):
        reader.plane(0, z)
    assert len(reader._kept) < 3


def test_resampling_keeps_constants_means_and_places():
    constant = np.full((1, 30, 40), 0.3, np.float32)
    assert np.allclose(resample_image(constant, (17, 55)), 0.3, atol=1e-6)
    random = np.random.default_rng(0).random((1, 64, 64), np.float32)
    halved = resample_image(random, (32, 32))
    assert abs(halved.mean() - random.mean()) < 0.01
    labels = np.zeros((20, 20), np.int64)
    labels[5:10, 5:10] = 2**40
    assert np.array_equal(resample_labels(labels, (40, 40))[10:20, 10:20], np.full((10, 10), 2**40))
    assert set(np.unique(resample_labels(labels, (13, 7)))) <= {0, 2**40}


def test_neighbouring_labels_come_along_and_the_outermost_slices_are_not_drawn(tmp_path):
    labels = np.arange(1, 10, dtype=np.uint8)[:, None, None] * np.ones((9, 20, 20), np.uint8)
    write_image(tmp_path / "images" / "a.tif", labels[None])
    write_labels(tmp_path / "labels" / "a.tif", labels)
    (tmp_path / "dataset.yaml").write_text("labels: instances\nvoxel_size_nm: [40, 10, 10]\nsplit: {train: {a: ''}}\n")
    reader = PlaneReader(open_dataset(tmp_path).labelled("train").regions, "instances", Intensity(), None)
    sampler = PatchSampler(reader, 16, 0, 0.5, seed=0, label_neighbours=2)
    drawn = [sampler.draw(number) for number in range(40)]
    assert {patch.labels[patch.slice, 0, 0] for patch in drawn} == {3, 4, 5, 6, 7}
    for patch in drawn:
        assert np.diff(patch.labels[:, 0, 0]).tolist() == [1] * 4
        assert patch.valid.shape == (5, 16, 16)
        assert patch.slice == 2
        assert patch.spacing == 4
    # a thin stack: every slice is drawn, with as many of its neighbours as there are
    sampler = PatchSampler(reader, 16, 0, 0.5, seed=0, label_neighbours=6)
    seen = {}
    for patch in (sampler.draw(number) for number in range(80)):
        seen[int(patch.labels[patch.slice, 0, 0])] = patch.labels[:, 0, 0].tolist()
    assert sorted(seen) == list(range(1, 10))
    assert seen[1] == [1, 2, 3, 4, 5, 6, 7]
    assert seen[5] == list(range(1, 10))


def test_objects_of_a_mask_have_one_number_through_the_stack(tmp_path):
    mask = np.zeros((6, 24, 24), np.uint8)
    mask[:3, 2:6, 2:6] = 1  # ends half way: numbers of planes by themselves would move up
    mask[:, 10:14, 2:6] = 1
    mask[:, 10:14, 12:16] = 1
    write_image(tmp_path / "images" / "a.tif", mask[None] * np.uint8(200))
    write_labels(tmp_path / "labels" / "a.tif", mask)
    (tmp_path / "dataset.yaml").write_text("labels: mask\nobjects: 3d\nsplit: {train: {a: '[1:, :, :]'}}\n")
    regions = open_dataset(tmp_path).labelled("train").regions
    reader = PlaneReader(regions, "instances", Intensity(), None, in_depth=True)
    stack = np.stack([reader.plane(0, z).labels for z in range(5)])
    assert len({int(stack[:, 12, x].min()) for x in (4, 14)}) == 2
    for y, x in ((12, 4), (12, 14)):
        assert len(np.unique(stack[:, y, x])) == 1
    assert stack[:2, 4, 4].all()
    assert not stack[2:, 4, 4].any()
    alone = PlaneReader(regions, "instances", Intensity(), None)
    assert len({int(alone.plane(0, z).labels[12, 4]) for z in range(5)}) == 2


def test_objects_of_slices_have_no_targets_in_depth(tmp_path):
    labels = np.ones((3, 8, 8), np.uint8)
    write_image(tmp_path / "images" / "a.tif", labels[None])
    write_labels(tmp_path / "labels" / "a.tif", labels)
    (tmp_path / "dataset.yaml").write_text("labels: instances\nobjects: 2d\nsplit: {train: {a: ''}}\n")
    regions = open_dataset(tmp_path).labelled("train").regions
    with pytest.raises(BadInput, match="a.tif: objects of slices"):
        PlaneReader(regions, "instances", Intensity(), None, in_depth=True)
