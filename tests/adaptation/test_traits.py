"""Traits against scikit-image, shapes worked by hand, and the published constants of a real dataset."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import disk
from skimage.measure import label, regionprops

from anyscope.adaptation.traits import SPECK_PX, Traits, measure_traits
from anyscope.errors import BadInput
from anyscope.images import read_labels

masks = arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)
)


def plane_with(*parts, shape=(64, 64)):
    plane = np.zeros(shape, np.uint8)
    for part in parts:
        plane[part] = 1
    return plane


def published_solidity(mask):
    """Objects labelled in 3D, then each slice measured, without specks: by scikit-image."""
    planes = label(mask > 0)
    found = [region.solidity for plane in planes for region in regionprops(plane) if region.area > SPECK_PX]
    return np.mean(found) if found else None


def some_blobs(seed, shape=(5, 80, 90)):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal(shape)
    return (gaussian_filter(noise, (0.7, 3, 3)) > 0.05).astype(np.uint8)


def test_solidity_of_known_shapes():
    square = plane_with(np.s_[10:30, 10:30])
    assert measure_traits([square[None]], "semantic").solidity == 1.0
    disc = plane_with(disk((32, 32), 12))
    assert measure_traits([disc[None]], "semantic").solidity == pytest.approx(regionprops(disc)[0].solidity)
    assert measure_traits([disc[None]], "semantic").solidity > 0.96
    # An L of two arms 20 x 5: 175 pixels of a hull that is the square without half of its free corner.
    ell = plane_with(np.s_[10:30, 10:15], np.s_[25:30, 10:30])
    assert measure_traits([ell[None]], "semantic").solidity == pytest.approx(regionprops(ell)[0].solidity)
    assert measure_traits([ell[None]], "semantic").solidity == pytest.approx(175 / (400 - 15 * 15 / 2), abs=0.03)
    ring = disc.copy()
    ring[disk((32, 32), 9)] = 0
    assert measure_traits([ring[None]], "semantic").solidity == pytest.approx(ring.sum() / disc.sum() * 0.99, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_both_solidities_agree_with_scikit_image(seed):
    mask = some_blobs(seed)
    traits = measure_traits([mask], "semantic")
    assert traits.solidity == pytest.approx(published_solidity(mask), abs=1e-12)
    slices = [region.solidity for plane in mask for region in regionprops(label(plane)) if region.area > SPECK_PX]
    assert traits.solidity_per_slice == pytest.approx(np.mean(slices), abs=1e-12)
    assert traits.solidity < traits.solidity_per_slice
    areas = [region.area for plane in mask for region in regionprops(label(plane))]
    assert traits.objects == sum(area > SPECK_PX for area in areas)
    assert traits.specks == len(areas) - traits.objects
    assert traits.mean_area_px == pytest.approx(np.mean([area for area in areas if area > SPECK_PX]))
    assert traits.median_area_px == np.median([area for area in areas if area > SPECK_PX])
    assert traits.foreground_px == mask.sum()
    assert traits.foreground_fraction == pytest.approx(mask.mean())


def test_two_discs_that_are_one_object_in_3d():
    """A fork: joined in the middle slice, two pieces above. The pieces are one object in the published variant."""
    fork = np.stack([plane_with(np.s_[10:30, 10:20], np.s_[10:30, 40:50]), plane_with(np.s_[10:30, 10:50])])
    traits = measure_traits([fork], "semantic")
    assert traits.solidity_per_slice == 1.0
    assert traits.solidity == pytest.approx((400 / 800 + 1) / 2)
    assert traits.objects == 3
    assert traits.area_ratio == pytest.approx((400 + 800) / 2 / 64**2)


def test_instances_keep_their_ids():
    touching = np.zeros((1, 20, 40), np.uint16)
    touching[0, 5:15, 5:20], touching[0, 5:15, 20:35] = 7, 300
    assert measure_traits([touching], "instances").objects == 2
    assert measure_traits([touching], "semantic").objects == 1
    split = touching.copy()
    split[0, :, 10:12] = 0
    traits = measure_traits([split], "instances")
    assert traits.objects == 3
    assert traits.solidity < 1.0
    assert traits.solidity_per_slice == 1.0


def test_every_class_above_zero_is_foreground():
    classes = np.zeros((1, 30, 30), np.uint8)
    classes[0, 5:15, 5:15], classes[0, 5:15, 15:25] = 1, 2
    traits = measure_traits([classes], "semantic")
    assert (traits.objects, traits.foreground_px) == (1, 200)


def test_entropy_and_unsure_pixels_by_hand():
    labels = np.zeros((1, 1, 4), np.uint8)
    probability = np.array([[[0.0, 1.0, 0.5, 0.25]]], np.float32)
    traits = measure_traits([labels], "semantic", [probability])
    assert traits.entropy_bits == pytest.approx((1 + 0.25 * 2 + 0.75 * np.log2(4 / 3)) / 4)
    assert traits.unsure == 0.5
    counted = measure_traits([labels], "semantic", [probability], [np.array([[[True, True, False, False]]])])
    assert (counted.entropy_bits, counted.unsure, counted.pixels) == (0, 0, 2)


def test_pixels_that_do_not_count():
    plane = plane_with(np.s_[10:30, 10:30], np.s_[40:60, 40:60])[None]
    valid = np.ones(plane.shape, bool)
    valid[0, 35:] = False
    traits = measure_traits([plane], "semantic", valid=[valid])
    assert (traits.objects, traits.pixels, traits.largest_share) == (1, 35 * 64, 400 / (35 * 64))


def test_images_are_pooled_by_object():
    one, two = some_blobs(4), some_blobs(5, (2, 40, 50))
    both, apart = measure_traits([one, two], "semantic"), [measure_traits([each], "semantic") for each in (one, two)]
    assert both.objects == sum(each.objects for each in apart)
    mean = sum(each.objects * each.mean_area_px for each in apart) / both.objects
    assert both.mean_area_px == pytest.approx(mean)
    assert both.planes == 7


@pytest.mark.parametrize("labels", [[], [np.zeros((1, 1, 1), np.uint8)], [np.zeros((0, 5, 5), np.uint8)]])
def test_nothing_to_measure_is_none(labels):
    traits = measure_traits(labels, "semantic")
    assert traits.solidity is traits.solidity_per_slice is traits.mean_area_px is traits.area_ratio is None
    assert (traits.objects, traits.foreground_fraction, traits.objects_per_megapixel) == (0, 0, 0)
    assert Traits.from_dict(json.loads(json.dumps(traits.to_dict(), allow_nan=False))) == traits


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.uint64])
def test_any_type_of_label(dtype):
    mask = some_blobs(6)
    expected = measure_traits([mask], "semantic")
    assert measure_traits([mask.astype(dtype)], "semantic") == expected


@given(masks)
def test_measurements_stay_in_their_ranges_and_survive_json(mask):
    traits = measure_traits([mask], "semantic", [mask.astype(np.float32)])
    assert traits.foreground_px == mask.sum()
    assert 0 <= traits.largest_share <= 1
    assert traits.entropy_bits == 0
    if traits.objects:
        assert 0 < traits.solidity <= 1
        assert 0 < traits.area_ratio <= 1
    assert Traits.from_dict(json.loads(json.dumps(traits.to_dict(), allow_nan=False))) == traits


def test_flipping_and_transposing_change_nothing():
    mask = some_blobs(7)
    probability = [np.zeros(mask.shape, np.float32)]
    turned = measure_traits([mask[:, ::-1].swapaxes(1, 2)], "semantic", [probability[0].swapaxes(1, 2)]).to_dict()
    assert turned == pytest.approx(measure_traits([mask], "semantic", probability).to_dict(), rel=1e-12)


def test_unknown_keys_are_refused():
    data = measure_traits([some_blobs(8)], "semantic").to_dict()
    with pytest.raises(BadInput, match="convexity"):
        Traits.from_dict({**data, "convexity": 1})


def test_published_constants_of_vnc(real_data):
    """The left half, mask above 0. The area ratio is the constant in the authors' code to its last digit, so the
    objects are the same; solidity is then scikit-image's, whose regionprops the authors call."""
    half = read_labels(real_data / "em-mitochondria" / "vnc" / "labels" / "stack1.tif")[:, :, :512]
    traits = measure_traits([half], "semantic")
    assert traits.foreground_fraction == pytest.approx(0.0634, abs=5e-5)
    assert traits.area_ratio == pytest.approx(0.006005852143346416, abs=1e-15)
    assert traits.solidity == pytest.approx(published_solidity(half), abs=1e-12)
    assert traits.solidity == pytest.approx(0.9455, abs=5e-5)
    assert traits.solidity_per_slice == pytest.approx(0.9690, abs=5e-5)
