"""Boundary distances against brute force and scikit-image."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance
from skimage.segmentation import find_boundaries

from anyscope.errors import BadInput
from anyscope.metrics.surface import (
    average_surface_distance,
    boundary,
    boundary_f1,
    hausdorff,
    surface_distances,
    weighted_percentile,
)

from .label_images import cells, perturbed

SPACINGS = [((40, 40), None), ((40, 40), (3.0, 5.5)), ((6, 24, 24), None), ((6, 24, 24), (50.0, 8.0, 8.0))]


def masks(shape, seed):
    labels = cells(seed, shape)
    return labels % 2 == 1, perturbed(labels, seed) % 2 == 1


@pytest.mark.parametrize(("shape", "spacing"), SPACINGS)
def test_distances_agree_with_brute_force(shape, spacing):
    reference, prediction = masks(shape, 0)
    found = surface_distances(reference, prediction, spacing)
    scale = np.array(spacing or [1] * len(shape))
    points = [np.argwhere(boundary(mask)) * scale for mask in (reference, prediction)]
    apart = cdist(*points)
    forth, back = apart.min(axis=1), apart.min(axis=0)
    assert (found.reference_pixels, found.prediction_pixels) == (forth.size, back.size)
    for percentile in (50, 95, 100):
        expected = max(np.percentile(forth, percentile), np.percentile(back, percentile))
        ours = hausdorff(found.from_reference, found.from_prediction, percentile)
        assert ours == pytest.approx(expected, rel=1e-6)
    mean = np.concatenate([forth, back]).mean()
    assert average_surface_distance(found.from_reference, found.from_prediction) == pytest.approx(mean, rel=1e-6)
    tolerance = 1.5 * scale[-1]
    precision, recall = (back <= tolerance).mean(), (forth <= tolerance).mean()
    assert boundary_f1(found, tolerance) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_hausdorff_agrees_with_scikit_image(seed):
    reference, prediction = masks((40, 40), seed)
    found = surface_distances(reference, prediction)
    expected = hausdorff_distance(boundary(reference), boundary(prediction))
    assert hausdorff(found.from_reference, found.from_prediction, 100) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(30, 30), (5, 20, 20)])
def test_boundary_agrees_with_scikit_image(shape):
    mask = masks(shape, 1)[0]
    assert (boundary(mask) == (find_boundaries(mask, connectivity=1, mode="inner") & mask)).all()
    assert not boundary(np.ones(shape, bool)).any()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1), st.floats(0, 100))
def test_weighted_percentile_is_that_of_repeated_values(pairs, percentile):
    histogram = np.array(pairs, float)
    repeated = np.repeat(histogram[:, 0], histogram[:, 1].astype(int))
    assert weighted_percentile(histogram, percentile) == pytest.approx(np.percentile(repeated, percentile), abs=1e-9)


def test_a_shifted_square_by_hand():
    reference, prediction = np.zeros((2, 20, 20), bool)
    reference[5:10, 5:10] = True
    prediction[5:10, 8:13] = True
    found = surface_distances(reference, prediction)
    assert hausdorff(found.from_reference, found.from_prediction, 100) == 3
    assert boundary_f1(found, 3) == 1
    assert boundary_f1(found, 2.99) < 1
    diagonal = np.roll(reference, (1, 1), (0, 1))
    corner = surface_distances(reference, diagonal)
    assert hausdorff(corner.from_reference, corner.from_prediction, 100) == pytest.approx(sqrt(2))
    assert boundary_f1(corner, sqrt(2)) == 1


def test_a_missing_mask_leaves_distances_undefined():
    mask = masks((20, 20), 0)[0]
    found = surface_distances(mask, np.zeros_like(mask))
    assert isnan(hausdorff(found.from_reference, found.from_prediction))
    assert isnan(average_surface_distance(found.from_reference, found.from_prediction))
    assert boundary_f1(found, 2) == 0
    assert isnan(boundary_f1(surface_distances(np.zeros_like(mask), np.zeros_like(mask)), 2))


def test_a_single_slice_is_two_dimensional():
    reference, prediction = masks((30, 30), 2)
    flat = surface_distances(reference, prediction, (2.0, 2.0))
    stack = surface_distances(reference[None], prediction[None], (90.0, 2.0, 2.0))
    assert flat.from_reference.tolist() == stack.from_reference.tolist()


@pytest.mark.parametrize(
    ("prediction", "spacing"),
    [(np.zeros((3, 4), bool), None), (np.zeros((3, 3), int), None), (np.zeros((3, 3), bool), (1.0, 0.0))],
)
def test_bad_input_is_refused(prediction, spacing):
    with pytest.raises(BadInput):
        surface_distances(np.zeros((3, 3), bool), prediction, spacing)
