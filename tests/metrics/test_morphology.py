"""Morphology against scikit-image's regionprops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull
from skimage.measure import regionprops

from anyscope.errors import BadInput
from anyscope.metrics import densities, morphology

from .label_images import cells, perturbed


def blobs(seed, shape=(120, 130)):
    """Ragged, partly disconnected objects with holes."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.25, 0, cells(seed, shape, 40))


@pytest.mark.parametrize("labels", [cells(0), blobs(1), perturbed(cells(2), 2), blobs(3, (40, 300))])
def test_flat_objects_agree_with_scikit_image(labels):
    found = morphology(labels)
    expected = regionprops(labels)
    assert found["id"].tolist() == [each.label for each in expected]
    assert found["size"].tolist() == [each.area for each in expected]
    assert found["centroid"][:, 1:] == pytest.approx(np.array([each.centroid for each in expected]), abs=1e-9)
    boxes = np.hstack([found["start"][:, 1:], found["stop"][:, 1:]])
    assert boxes.tolist() == [list(each.bbox) for each in expected]
    assert found["solidity"] == pytest.approx([each.solidity for each in expected], abs=1e-9)
    assert found["eccentricity"] == pytest.approx([each.eccentricity for each in expected], abs=1e-7)
    assert found["solidity"].min() < 0.9


@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 1)))
def test_solidity_counts_the_pixel_centres_in_the_convex_hull(mask):
    if not mask.any():
        assert morphology(mask)["id"].size == 0
        return
    corners = np.argwhere(mask)[:, None] + np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    hull = ConvexHull(corners.reshape(-1, 2))
    centres = np.argwhere(np.ones_like(mask))
    inside = (centres @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(axis=1)
    assert morphology(mask)["solidity"].tolist() == [mask.sum() / inside.sum()]


def test_volumes_agree_with_scikit_image():
    labels = cells(4, (6, 30, 40), 25)
    found = morphology(labels, (50.0, 8.0, 4.0))
    expected = regionprops(labels)
    assert found["size"].tolist() == [each.area for each in expected]
    assert found["centroid"] == pytest.approx(np.array([each.centroid for each in expected]), abs=1e-9)
    assert np.hstack([found["start"], found["stop"]]).tolist() == [list(each.bbox) for each in expected]
    assert found["volume_nm3"].tolist() == [each.area * 1600 for each in expected]
    assert "solidity" not in found
    touches = [
        any(a == 0 or b == n for a, b, n in zip(e.bbox[:3], e.bbox[3:], labels.shape, strict=True)) for e in expected
    ]
    assert found["touches_border"].tolist() == touches


def test_slices_are_measured_one_by_one():
    labels = cells(5, (4, 40, 40), 20)
    found = morphology(labels, (None, 3.0, 2.0), per_slice=True)
    for z, plane in enumerate(labels):
        here = found["slice"] == z
        alone = morphology(plane, (3.0, 2.0))
        for name in ("id", "size", "solidity", "eccentricity", "area_nm2", "touches_border"):
            assert found[name][here].tolist() == alone[name].tolist()
        assert (found["centroid"][here][:, 0] == z).all()
        assert (found["start"][here][:, 0] == z).all()
        assert (found["stop"][here][:, 0] == z + 1).all()
    assert found["area_nm2"].tolist() == (found["size"] * 6.0).tolist()


def test_shapes_by_hand():
    labels = np.zeros((12, 12), np.uint64)
    labels[1, 1] = 2**63 + 5
    labels[3, 2:9] = 4
    labels[6:9, 6:9] = 9
    labels[7, 7] = 0
    found = morphology(labels)
    assert found["id"].tolist() == [4, 9, 2**63 + 5]
    assert found["solidity"].tolist() == [1, 8 / 9, 1]
    assert found["eccentricity"].tolist() == [1, 0, 0]
    assert not found["touches_border"].any()


def test_eccentricity_is_physical():
    square = np.ones((10, 10), bool)
    assert morphology(square)["eccentricity"][0] == pytest.approx(0, abs=1e-9)
    stretched = morphology(square, (1.0, 2.0))["eccentricity"][0]
    assert stretched == pytest.approx(np.sqrt(1 - 1 / 4), abs=1e-9)


def test_densities_by_hand():
    labels = np.zeros((100, 100), int)
    labels[:10, :10], labels[50:60, 50:60] = 1, 2
    found = densities(labels, (100.0, 100.0))
    assert found["objects"] == 2
    assert found["objects_per_megapixel"] == 200
    assert found["foreground_fraction"] == 0.02
    assert found["objects_per_um2"] == pytest.approx(2 / 100)
    assert densities(np.stack([labels] * 2), (1000.0, 100.0, 100.0))["objects_per_um3"] == pytest.approx(2 / 200)


@pytest.mark.parametrize("labels", [np.zeros((5, 5), int), np.zeros((0, 5, 5), int)])
@pytest.mark.parametrize("per_slice", [False, True])
def test_no_objects_give_empty_columns(labels, per_slice):
    found = morphology(labels, per_slice=per_slice)
    assert all(len(column) == 0 for column in found.values())


@pytest.mark.parametrize(
    ("labels", "voxel"),
    [
        (np.zeros((2, 2)), None),
        (np.array([[-1]]), None),
        (np.zeros(4, int), None),
        (np.ones((2, 3, 3), int), (None, 4.0, 4.0)),
        (np.ones((3, 3), int), (4.0, -4.0)),
        (np.ones((3, 3), int), (4.0, None, 4.0)),
    ],
)
def test_bad_input_is_refused(labels, voxel):
    with pytest.raises(BadInput):
        morphology(labels, voxel)
