"""Targets against scikit-image, SciPy and cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.instances import affinities, targets

label_images = npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=3, max_side=12), elements=st.integers(0, 3))


def test_hand_worked_row():
    values = targets(
        np.array([[[5, 5, 5, 9, 9, 0, 0, 0]]]),
        HeadLayout(
            (
                "mask",
                "boundary",
                "distance",
            )
        ),
    )
    assert values.shape == (3, 1, 1, 8)
    assert values.dtype == np.float32
    assert values[0, 0, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    assert values[1, 0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(
        values[2, 0, 0], np.tanh(np.array([2.5, 1.5, 0.5, 0.5, 0.5, -0.5, -1.5, -2.5]) / 8), 1e-6
    )


@settings(max_examples=60, deadline=None)
@given(label_images)
def test_boundary_equals_find_boundaries(labels):
    values = targets(labels, HeadLayout(("boundary",)))
    expected = [find_boundaries(plane, connectivity=2, mode="thick") for plane in labels]
    np.testing.assert_array_equal(values[0] > 0, expected)


@settings(max_examples=60, deadline=None)
@given(label_images)
def test_distance_equals_one_transform_per_object(labels):
    values = targets(labels, HeadLayout(("distance",)), distance_scale_px=3)
    for plane, distance in zip(labels, values[0], strict=True):
        for label in np.unique(plane):
            inside = plane == label
            if inside.all():
                assert (distance == (1 if label else -1)).all()
                continue
            expected = np.tanh((distance_transform_edt(inside)[inside] - 0.5) / 3)
            np.testing.assert_allclose(distance[inside], expected if label else -expected, atol=1e-6)


def test_a_cut_object_has_no_rim_at_the_edge_of_the_patch():
    whole = np.zeros((1, 60, 60), np.uint16)
    whole[0, 10:50, 10:50] = 1
    expected = targets(
        whole,
        HeadLayout(
            (
                "mask",
                "boundary",
                "distance",
            )
        ),
    )
    found = targets(
        whole[:, 30:, 30:],
        HeadLayout(
            (
                "mask",
                "boundary",
                "distance",
            )
        ),
    )
    np.testing.assert_allclose(found, expected[:, :, 30:, 30:], atol=1e-6)
    assert found[1, 0, 0].max() == 1  # the true rim, where the object ends within the patch
    assert found[1, 0, :19, :19].max() == 0


def test_boundary_width():
    labels = np.zeros((1, 1, 40), int)
    labels[..., 20:] = 7
    for width in (1, 2, 5):
        assert targets(labels, HeadLayout(("boundary",)), boundary_px=width)[0].sum() == 2 * width


def test_slices_are_independent():
    labels = np.zeros((2, 8, 8), np.int32)
    labels[1, :, 4:] = 3
    values = targets(
        labels,
        HeadLayout(
            (
                "mask",
                "boundary",
                "distance",
            )
        ),
    )
    assert values[1, 0].max() == 0
    assert (values[2, 0] == -1).all()
    assert values[1, 1].max() == 1


def test_several_classes_give_class_numbers_in_one_channel():
    labels = np.array([[[0, 1, 2, 2]]], np.uint8)
    values = targets(labels, HeadLayout(("mask",), classes=3))
    assert values[0, 0, 0].tolist() == [0, 1, 2, 2]
    with pytest.raises(BadInput, match="class 3; expected classes 0 to 2"):
        targets(labels + 1, HeadLayout(("mask",), classes=3))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.uint64])
def test_any_integer_type(dtype):
    labels = np.zeros((1, 6, 6), dtype)
    labels[0, 2:4, 2:4] = np.iinfo(dtype).max if dtype is not bool else 1
    values = targets(
        labels,
        HeadLayout(
            (
                "mask",
                "distance",
            )
        ),
    )
    assert values[0].sum() == 4
    assert (values[1] > 0).sum() == 4


def test_ignored_pixels_make_no_rim():
    labels = np.full((1, 9, 9), 4, np.uint8)
    labels[0, :, 6:] = 255
    values = targets(
        labels,
        HeadLayout(
            (
                "mask",
                "boundary",
                "distance",
            )
        ),
        labels != 255,
    )
    assert values[0].min() == 1
    assert values[1].max() == 0
    assert labels[0, 0, 8] == 255  # the input is left alone


def test_nothing_known():
    values = targets(np.full((1, 4, 4), 255, np.uint8), HeadLayout(("mask", "distance")), np.zeros((1, 4, 4), bool))
    assert np.isfinite(values).all()


def test_bad_input():
    with pytest.raises(BadInput, match="head 'rim'"):
        targets(np.zeros((1, 2, 2), int), HeadLayout(("rim",)))
    with pytest.raises(BadInput, match="axes"):
        targets(np.zeros((2, 2), int), HeadLayout(("mask",)))


@settings(max_examples=60, deadline=None)
@given(label_images, st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=3))
def test_affinities_pixel_by_pixel(labels, offsets):
    found = targets(labels, HeadLayout(("affinities",), offsets=tuple(offsets)))
    for place in np.ndindex(*labels.shape):
        for channel, offset in enumerate(offsets):
            other = tuple(np.add(place, offset))
            inside = all(0 <= at < length for at, length in zip(other, labels.shape, strict=True))
            expected = float(labels[place] == labels[other] != 0) if inside else np.nan
            np.testing.assert_equal(found[(channel, *place)], expected)


def test_affinities_equal_those_of_bioimage_cpp():
    from bioimage_cpp.affinities import compute_affinities

    labels = np.random.default_rng(0).integers(0, 3, (4, 9, 11)).astype(np.uint32)
    offsets = ((-1, 0, 0), (0, -1, 0), (0, 2, -3))
    theirs, known = compute_affinities(labels, offsets, return_mask=True)
    ours = affinities(labels, offsets)
    known = known.astype(bool)
    assert np.array_equal(~np.isnan(ours), known)
    both = known & (labels != 0)  # the background shares nothing here
    assert np.array_equal(ours[both], theirs[both])


def test_an_affinity_to_an_ignored_pixel_is_not_known():
    labels = np.array([[[1, 1, 9, 1]]])
    found = targets(labels, HeadLayout(("affinities",), offsets=((0, 0, 1),)), labels != 9)
    np.testing.assert_equal(found[0, 0, 0], [1, np.nan, 1, np.nan])


def test_erosion_puts_a_gap_between_touching_objects():
    labels = np.array([[[1, 1, 1, 2, 2, 2]]])
    layout = HeadLayout(("mask", "affinities"), offsets=((0, 0, 1),))
    np.testing.assert_equal(targets(labels, layout)[1, 0, 0], [1, 1, 0, 1, 1, np.nan])
    mask, links = targets(labels, layout, erosion_px=1)[:, 0, 0]
    assert mask.tolist() == [1] * 6
    np.testing.assert_equal(links, [1, 0, 0, 0, 1, np.nan])


@settings(max_examples=40, deadline=None)
@given(label_images, st.floats(0.5, 12))
def test_distance_in_the_volume_equals_one_transform_per_object(labels, spacing):
    values = targets(labels, HeadLayout(("distance",)), distance_scale_px=3, spacing=(spacing, 1.0, 1.0))
    for label in np.unique(labels):
        inside = labels == label
        if inside.all():
            continue
        away = distance_transform_edt(inside, sampling=(spacing, 1, 1))[inside] - 0.5
        np.testing.assert_allclose(values[0][inside], np.tanh(away / 3) * (1 if label else -1), atol=1e-5)


def test_planes_are_cut_from_the_whole():
    labels = np.random.default_rng(1).integers(0, 4, (5, 12, 12)).astype(np.uint16)
    layout = HeadLayout(("mask", "boundary", "distance", "centre", "affinities"), offsets=((-1, 0, 0), (2, 0, 1)))
    for spacing in (None, (2.0, 1.0, 1.0)):
        whole = targets(labels, layout, spacing=spacing)
        some = targets(labels, layout, spacing=spacing, planes=slice(1, 3))
        np.testing.assert_equal(some, whole[:, 1:3])


def test_centre_by_hand():
    labels = np.zeros((1, 7, 9), np.uint64)
    labels[0, 1:6, 1:6] = 2**40
    values = targets(labels, HeadLayout(("centre",)))[0, 0]
    assert values[3, 3] == 0
    assert values[1, 1] == values[5, 5] == 1
    assert values[3, 5] == pytest.approx(2 / np.hypot(2, 2))
    assert (values[labels[0] == 0] == 1).all()
    assert targets(np.array([[[0, 3, 0]]]), HeadLayout(("centre",)))[0].ravel().tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_centres_of_ids_with_gaps(dtype):
    labels = np.random.default_rng(0).choice([0, 3, 77, 200], (2, 9, 9)).astype(dtype)
    for spacing in (None, (2.0, 1.0, 1.0)):
        values = targets(labels, HeadLayout(("centre",)), spacing=spacing)[0]
        assert (values[labels == 0] == 1).all()
        for plane, found in [(labels, values)] if spacing else zip(labels, values, strict=True):
            for label in (3, 77, 200):
                inside = found[plane == label]
                assert (inside.min(), inside.max()) == (0, 1)
