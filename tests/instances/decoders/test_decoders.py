"""Decoders: perfect maps give perfect objects; edge cases have defined results."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.measure import label as sk_label
from skimage.metrics import adapted_rand_error
from skimage.segmentation import watershed as sk_watershed

from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.images.components import components
from anyscope.instances import (
    DECODERS,
    Agglomeration,
    Components,
    MutexWatershed,
    Peaks,
    Threshold,
    Watershed,
    build_decoder,
    default_decoder,
    fitting_decoders,
)

from ..objects import OFFSETS_2D, OFFSETS_3D, affinities_of, cells, perfect_maps

HEADS = ("mask", "boundary", "distance")
REQUIRED = {"mutex_watershed": {"offsets": OFFSETS_2D}}
"""Parameters without a default."""


def same_objects(reference, labels, tolerance=0.0):
    """Whether two label images have the same objects, up to their numbers, in all but a fraction of the pixels."""
    pairs = np.unique(np.stack([reference.ravel(), labels.ravel()]), axis=1, return_counts=True)
    best: dict[int, int] = {}
    for (ref, _), n in sorted(zip(pairs[0].T.tolist(), pairs[1].tolist(), strict=True), key=lambda pair: pair[1]):
        best[ref] = n
    return sum(best.values()) >= reference.size * (1 - tolerance) and len(np.unique(reference)) == len(
        np.unique(labels)
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([HEADS, HEADS[:2], (HEADS[0], HEADS[2])]))
@example(385, 23, HEADS)
def test_perfect_maps_give_perfect_objects_in_2d(seed, n, heads):
    reference = cells((96, 120), n, seed)[None]
    labels = Watershed(min_size_px=32)(perfect_maps(reference, heads))
    # A boundary alone does not say which of its pixels belong to which side.
    tolerance = 0.006 if "distance" in heads else 0.025
    assert same_objects(reference, labels, tolerance)
    if reference.max() > 1:
        assert adapted_rand_error(reference, labels, ignore_labels=(0,))[0] < 2 * tolerance


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20), st.integers(2, 5))
@example(305, 12, 2)  # the pixels of a pointed corner have an interior of their own
@example(198, 12, 4)  # nine of them in each slice
def test_perfect_maps_give_perfect_objects_in_3d(seed, n, depth):
    """Columns that grow through the slices, as neurites do, with another generation above an empty slice."""
    plane, above = cells((72, 80), n, seed), cells((72, 80), n, seed + 1)
    gap = np.zeros_like(plane)
    reference = np.stack([plane] * depth + [gap] + [np.where(above > 0, above + plane.max(), 0)] * depth)
    labels = Watershed(dimensions=3, min_size_px=16 * depth)(perfect_maps(reference, HEADS))
    assert same_objects(reference, labels, tolerance=0.006)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2]))
def test_components_equal_scikit_image(seed, connectivity):
    mask = np.random.default_rng(seed).random((2, 24, 24)) > 0.5
    expected = np.stack([sk_label(plane, connectivity=connectivity) for plane in mask])
    expected[1][expected[1] > 0] += expected[0].max()
    found = components(mask, connectivity, 2)
    assert (
        len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T) == expected.max() + 1 == found.max() + 1
    )
    assert found[1][found[1] > 0].min() == found[0].max() + 1


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_components_of_a_volume_equal_scikit_image(connectivity):
    mask = np.random.default_rng(0).random((12, 24, 24)) > 0.8
    found, expected = components(mask, connectivity, 3), sk_label(mask, connectivity=connectivity)
    assert (
        len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T) == expected.max() + 1 == found.max() + 1
    )


@pytest.mark.parametrize("shape", [(1, 1, 5), (3, 1, 7), (5, 3, 9), (1, 1, 1)])
def test_every_second_voxel_of_an_odd_volume_is_an_object(shape):
    mask = np.zeros(shape, bool)
    mask[::2, ::2, ::2] = True
    found = components(mask, 3, 3)
    assert found.shape == shape
    assert found.max() == mask.sum()


@pytest.mark.parametrize("seed", range(3))
def test_flooding_equals_scikit_image(seed):
    """On noisy maps, where the order of flooding matters. Both quantise or order ties differently: not every pixel."""
    rng = np.random.default_rng(seed)
    maps = perfect_maps(cells((128, 128), 60, seed)[None], HEADS)
    noisy = np.clip(maps["distance"] + rng.normal(0, 0.05, maps["distance"].shape), -1, 1).astype(np.float32)
    decoder = Watershed(min_size_px=0, keep_unseeded=False, seed_boundary=1.0)
    labels = decoder({"mask": maps["mask"], "distance": noisy})
    mask = maps["mask"][0] > 0.5
    seeds = sk_label(mask & (noisy[0] > decoder.seed_distance), connectivity=1)
    expected = sk_watershed(-noisy[0], seeds, mask=mask)
    np.testing.assert_array_equal(labels[0] > 0, expected > 0)
    assert (labels[0] == expected).mean() > 0.999


@pytest.mark.parametrize("name", list(DECODERS))
def test_every_decoder(name):
    """What holds for all: defined on empty, full and multi-class maps, described, restored from its parameters."""
    decoder = build_decoder(name, REQUIRED.get(name))
    flat = np.zeros((2, 16, 16), np.float32)
    nothing = {"affinities": np.stack([flat] * len(OFFSETS_2D))}
    empty = {"mask": flat, "distance": flat - 1, "boundary": flat, "centre": flat + 1} | nothing
    assert decoder(empty).shape == (2, 16, 16)
    assert decoder(empty).max() == 0
    full = {"mask": flat + 1, "distance": flat + 1, "boundary": flat, "centre": flat}
    full["affinities"] = nothing["affinities"] + 1
    assert decoder(full).min() >= 1
    assert decoder(full).max() == (1 if name == "threshold" else 2)  # one object filling each slice
    assert decoder(full).dtype == np.uint8
    labels = np.zeros((1, 40, 40), np.uint8)
    labels[0, 5:20, 5:20], labels[0, 25:38, 25:38] = 1, 2
    several = decoder(perfect_maps(labels, HEADS, classes=3) | {"affinities": affinities_of(labels, OFFSETS_2D)})
    np.testing.assert_array_equal(several, labels)
    assert str(getattr(decoder, "threshold")) in decoder.describe()  # noqa: B009
    assert {one for names in decoder.search for one in names.split(",")} <= set(vars(decoder))
    assert build_decoder(name, vars(decoder)) == decoder
    assert build_decoder(name, json.loads(json.dumps(vars(decoder)))) == decoder  # as a file has them
    assert set(getattr(decoder, "reads", {})) <= set(decoder.search)
    for names, values in decoder.search.items():
        for value in values:
            together = dict(zip(names.split(","), value if "," in names else (value,), strict=True))
            assert build_decoder(name, vars(decoder) | together)


def test_more_objects_than_16_bits_hold():
    mask = np.zeros((1, 600, 600), np.float32)
    mask[0, ::2, ::2] = 1
    labels = Components(min_size_px=0)({"mask": mask})
    assert labels.max() == 90_000
    assert labels.dtype == np.uint32
    many = np.repeat(mask, 2, axis=0)
    assert Watershed(min_size_px=0)({"mask": many, "boundary": 1 - many}).max() == 180_000


def test_objects_without_interior_are_kept_or_not():
    labels = np.zeros((1, 32, 32), np.uint8)
    labels[0, 4, 2:30] = 1  # a line, all rim
    labels[0, 12:28, 8:24] = 2
    maps = perfect_maps(labels, HEADS)
    np.testing.assert_array_equal(np.unique(Watershed()(maps)), [0, 1, 2])
    np.testing.assert_array_equal(Watershed(keep_unseeded=False)(maps) > 0, labels == 2)
    np.testing.assert_array_equal(Watershed(min_size_px=29)(maps) > 0, labels == 2)


def test_smoothing_removes_false_seeds():
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[0, 12:52, 12:52] = 1
    maps = perfect_maps(labels, HEADS)
    noise = np.random.default_rng(0).normal(0, 0.4, labels.shape)
    noisy = maps | {"distance": np.clip(maps["distance"] + noise, -1, 1).astype(np.float32)}
    assert Watershed(min_size_px=0)(noisy).max() > 5
    assert Watershed(min_size_px=0, smoothing_px=4)(noisy).max() == 1


def test_threshold_of_the_mask():
    mask = np.array([[[0.1, 0.5, 0.6]]], np.float32)
    assert Threshold()({"mask": mask}).ravel().tolist() == [0, 0, 1]
    assert Threshold(0.05)({"mask": mask}).ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"distance": np.zeros((1, 4, 4), np.float32)}, "a mask among them"),
        ({"mask": np.zeros((4, 4), np.float32)}, "shape"),
        ({"mask": np.zeros((1, 4, 4), np.float32), "boundary": np.zeros((1, 4, 5), np.float32)}, "like the mask"),
        ({"mask": np.full((1, 4, 4), 3.0, np.float32)}, "logits must be activated"),
        ({"mask": np.full((1, 4, 4), np.nan, np.float32)}, "finite"),
        ({"mask": np.zeros((0, 4, 4), np.float32)}, "at least one voxel"),
        ({"mask": np.zeros((1, 4, 4), np.float32), "centre": np.full((1, 4, 4), -1, np.float32)}, "activated"),
        ({"mask": np.zeros((1, 4, 4), np.float32), "affinities": np.zeros((1, 4, 4), np.float32)}, "channels beside"),
        ({"mask": np.zeros((1, 4, 4), np.float32), "affinities": np.full((3, 1, 4, 4), 2, np.float32)}, "activated"),
        ({"mask": np.zeros((1, 4, 4), np.float32)}, "a boundary, a distance or a centre"),
    ],
)
def test_maps_that_no_decoder_can_read(maps, message):
    with pytest.raises(BadInput, match=message):
        Watershed()(maps)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("watersched", {}, "did you mean 'watershed'"),
        ("components", {"treshold": 0.4}, "did you mean 'threshold'"),
        ("components", {"threshold": 1.4}, "less than or equal to 1"),
        ("components", {"dimensions": 4}, "dimensions"),
        ("components", {"grow": "wildly"}, "grow"),
        ("watershed", {"anisotropy": 0}, "anisotropy"),
        ("mutex_watershed", {}, "'offsets' of decoder 'mutex_watershed': Field required"),
        ("mutex_watershed", {"offsets": [[0, 1]]}, "offsets"),
    ],
)
def test_parameters_are_checked(name, parameters, message):
    with pytest.raises(BadInput, match=message):
        build_decoder(name, parameters)


def test_connectivity_must_fit_the_dimensions():
    with pytest.raises(BadInput, match="1 to 2"):
        Components(connectivity=3)({"mask": np.ones((1, 4, 4), np.float32)})


@pytest.mark.parametrize(
    ("heads", "offsets", "expected"),
    [
        (("mask",), (), Components()),
        (HEADS, (), Watershed()),
        (("mask", "centre"), (), Watershed()),
        (("mask", "affinities"), OFFSETS_2D, MutexWatershed(offsets=OFFSETS_2D)),
        (("mask", "affinities"), OFFSETS_3D, MutexWatershed(offsets=OFFSETS_3D, dimensions=3)),
    ],
)
def test_the_default_decoder_is_the_first_that_fits(heads, offsets, expected):
    layout = HeadLayout(heads, offsets=offsets)
    assert default_decoder("instances", layout) == expected == fitting_decoders("instances", layout)[0]
    assert default_decoder("semantic", layout) == Threshold()
    in_slices = fitting_decoders("instances", layout, 2)
    assert in_slices[0] == replace(expected, dimensions=2)
    assert {one.dimensions for one in in_slices} == {2}


@pytest.mark.parametrize("head", ["distance", "boundary", "centre"])
@pytest.mark.parametrize("decoder", [Watershed(), Peaks(), Agglomeration()])
def test_one_object_fills_a_slice_by_any_head(decoder, head):
    if isinstance(decoder, Agglomeration) and head != "boundary":
        return
    maps = {"mask": np.zeros((2, 16, 16), np.float32), head: np.full((2, 16, 16), head == "centre", np.float32)}
    maps["mask"][0] = 1
    if head == "distance":
        maps[head][0] = 1
    if head == "centre":
        maps[head][0] = 0
    labels = decoder(maps)
    assert (labels[0] == 1).all()
    assert not labels[1].any()


NEAREST = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


@pytest.mark.parametrize(
    ("heads", "offsets", "expected"),
    [
        (("mask", "affinities"), NEAREST, [Agglomeration(offsets=NEAREST, dimensions=3), Components(dimensions=3)]),
        (("mask", "affinities"), ((0, -9, 0), (0, 0, -9)), [Components()]),
        (("mask", "affinities"), ((0, -1, 0), (0, -9, 0)), [Components()]),
        (("mask", "boundary", "affinities"), ((0, 0, -9),), [Watershed(), Peaks(), Agglomeration(), Components()]),
    ],
)
def test_affinities_are_read_where_they_suffice(heads, offsets, expected):
    found = fitting_decoders("instances", HeadLayout(heads, offsets=offsets))
    assert list(found) == expected
    maps = {head: np.full((2, 8, 8), 0.9, np.float32) for head in heads}
    maps["affinities"] = np.full((len(offsets), 2, 8, 8), 0.9, np.float32)
    for decoder in found:
        assert decoder(maps).shape == (2, 8, 8)


def test_affinities_need_offsets():
    for call in (default_decoder, fitting_decoders):
        with pytest.raises(BadInput, match="affinities: no offsets"):
            call("instances", HeadLayout(("mask", "affinities")))
