"""What is done with small objects, holes, and pixels that belong to no object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes, distance_transform_edt
from skimage.metrics import adapted_rand_error

from anyscope.instances import Components, Watershed
from anyscope.instances.decoders.finishing import ObjectParameters, grown, without_holes, without_small

from ..objects import perfect_maps, voronoi


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_holes_of_one_object_equal_scipy(seed, dimensions):
    mask = np.random.default_rng(seed).random((4, 7, 8)) > 0.35
    found = without_holes(np.where(mask, np.uint32(3), np.uint32(0)), dimensions)
    filled = binary_fill_holes(mask) if dimensions == 3 else np.stack([binary_fill_holes(plane) for plane in mask])
    np.testing.assert_array_equal(found, np.where(filled, 3, 0))


def test_background_between_two_objects_is_no_hole():
    labels = np.ones((1, 9, 9), np.uint32)
    labels[0, :, 5:] = 2
    labels[0, 4, 4:6] = 0  # borders on both
    labels[0, 2, 2] = labels[0, 2, 7] = labels[0, 0, 0] = 0
    found = without_holes(labels, 2)
    assert (found == 0).nonzero()[1].tolist() == [0, 4, 4]
    assert (found[0, 2, 2], found[0, 2, 7]) == (1, 2)


def test_an_object_within_another_is_no_hole():
    labels = np.ones((1, 9, 9), np.uint32)
    labels[0, 2:7, 2:7] = 0
    labels[0, 4, 4] = 2
    np.testing.assert_array_equal(without_holes(labels, 2), labels)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.sampled_from([1.0, 3.5]), st.sampled_from([None, 2.5]))
def test_growth_to_the_nearest(seed, dimensions, anisotropy, grow_px):
    rng = np.random.default_rng(seed)
    labels = (rng.integers(1, 9, (4, 12, 13)) * (rng.random((4, 12, 13)) > 0.93)).astype(np.uint32)
    where = ObjectParameters(dimensions=dimensions, anisotropy=anisotropy, grow="nearest", grow_px=grow_px)
    found = grown(labels, None, where)
    parts = [(labels, found, (anisotropy, 1, 1))] if dimensions == 3 else [
        (a, b, (1, 1)) for a, b in zip(labels, found, strict=True)
    ]  # fmt: skip
    for before, after, voxel in parts:
        if not before.any():
            assert not after.any()
            continue
        nearest = distance_transform_edt(before == 0, sampling=voxel)
        np.testing.assert_array_equal(after > 0, nearest <= (np.inf if grow_px is None else grow_px))
        for label in np.unique(after[after > 0]):  # the object that a pixel fell to is as near as the nearest
            own = distance_transform_edt(before != label, sampling=voxel)
            np.testing.assert_allclose(own[after == label], nearest[after == label], rtol=1e-5)


def test_growth_on_the_boundary_meets_on_its_crest():
    boundary = np.zeros((1, 5, 21), np.float32)
    boundary[..., 14] = 0.2
    boundary[..., 15] = 0.4
    labels = np.zeros((1, 5, 21), np.uint32)
    labels[..., :3], labels[..., 18:] = 1, 2
    where = ObjectParameters(grow="boundary")
    assert grown(labels, boundary, where)[0, 2, :14].tolist() == [1] * 14
    assert grown(labels, boundary, where)[0, 2, 16:].tolist() == [2] * 5
    assert grown(labels, None, where)[0, 2, 12] == 2  # the nearest
    bounded = grown(labels, boundary, ObjectParameters(grow="boundary", grow_px=3))
    assert np.flatnonzero(bounded[0, 2] == 0).tolist() == list(range(6, 15))


def test_small_objects_are_removed_or_merged():
    labels = np.zeros((1, 10, 12), np.uint32)
    labels[0, :, :5], labels[0, 3, 5:7], labels[0, 8, 10] = 1, 2, 3
    removed = without_small(labels, 5, None, ObjectParameters())
    np.testing.assert_array_equal(removed, np.where(labels == 1, 1, 0))
    merged = without_small(labels, 5, np.zeros(labels.shape, np.float32), ObjectParameters())
    np.testing.assert_array_equal(merged, np.where((labels == 1) | (labels == 2), 1, 0))  # 3 touches none


@pytest.mark.parametrize("grow", ["nearest", "boundary"])
def test_boundaries_within_neurites_ruin_the_adapted_rand_error(grow):
    """A dense volume: with predicted boundaries left at 0 the score is bad, with objects grown over them it is not."""
    reference = voronoi((1, 160, 160), 30, 3, background=0)
    maps = perfect_maps(reference, ("mask", "boundary"))
    maps["mask"] = 1 - maps["boundary"]
    bare = adapted_rand_error(reference, Components()(maps))[0]
    whole = Components(grow=grow)(maps)
    assert bare > 0.2
    assert adapted_rand_error(reference, whole)[0] < 0.05
    assert whole.min() > 0
    assert adapted_rand_error(reference, Watershed(grow=grow)(maps))[0] < 0.05


def test_what_was_done_is_said():
    words = Components(small="merge", fill_holes=True, grow="nearest", grow_px=3).describe()
    assert words.endswith("objects under 8 px merged into neighbours, holes filled, grown to the nearest by up to 3 px")
    assert Components(min_size_px=0).describe().endswith("the mask above 0.5")


@pytest.mark.parametrize("grow", ["nearest", "boundary"])
def test_nothing_grows_from_nothing(grow):
    empty = np.zeros((2, 5, 5), np.float32)
    for dimensions in (2, 3):
        decoder = Components(grow=grow, fill_holes=True, small="merge", dimensions=dimensions, grow_px=2)
        assert decoder({"mask": empty}).max() == 0
