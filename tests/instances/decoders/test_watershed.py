"""Seeds from centres, interiors grown, volumes with slices far apart."""

import numpy as np
import pytest
from bioimage_cpp.segmentation import watershed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.segmentation import watershed as sk_watershed

from anyscope.errors import BadInput
from anyscope.instances import Components, Watershed, tune
from anyscope.instances.decoders import regions

from ..objects import cells, centre_of, perfect_maps
from .test_decoders import same_objects


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_perfect_centres_give_perfect_objects(seed, n):
    """With a boundary or a distance beside them. By themselves they need objects whose inner halves do not touch."""
    reference = cells((96, 120), n, seed)[None]
    maps = perfect_maps(reference, ("mask", "boundary", "distance")) | {"centre": centre_of(reference)}
    assert same_objects(reference, Watershed(min_size_px=32)(maps), 0.01)
    maps.pop("distance")
    assert same_objects(reference, Watershed(min_size_px=32)(maps), 0.03)


def test_centres_alone():
    reference = cells((96, 120), 14, 3, apart_px=24)[None]
    maps = perfect_maps(reference, ("mask",)) | {"centre": centre_of(reference)}
    assert same_objects(reference, Watershed()(maps), 0.01)
    assert Components()(maps).max() < reference.max()  # some of them touch


def test_centres_tell_interiors_apart_that_boundaries_leave_joined():
    labels = np.zeros((1, 30, 60), np.uint8)
    labels[0, 5:25, 5:30], labels[0, 5:25, 30:55] = 1, 2
    maps = perfect_maps(labels, ("mask", "boundary"))
    maps["boundary"][0, 12:18, 28:32] = 0  # a gap
    assert Watershed()(maps).max() == 1
    assert Watershed()(maps | {"centre": centre_of(labels)}).max() == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_interior_components_grown(seed, n):
    reference = cells((96, 120), n, seed)[None]
    maps = perfect_maps(reference, ("mask", "boundary"))
    assert same_objects(reference, Components(interior=0.5, min_size_px=32)(maps), 0.03)


def test_an_interior_needs_a_boundary():
    with pytest.raises(BadInput, match="'components', interior"):
        Components(interior=0.5)({"mask": np.ones((1, 4, 4), np.float32)})


@pytest.mark.parametrize(("anisotropy", "label"), [(1.0, 1), (10.0, 2)])
def test_pixels_fall_to_the_nearest_seed_in_nanometres(anisotropy, label):
    """A pixel two slices above one interior and six pixels beside the other."""
    boundary = np.ones((3, 9, 20), np.float32)
    boundary[0, 4, 5], boundary[2, 4, 11] = 0, 0
    maps = {"mask": np.ones_like(boundary), "boundary": boundary}
    labels = Watershed(dimensions=3, anisotropy=anisotropy, min_size_px=0)(maps)
    assert labels.max() == 2
    assert labels[2, 4, 5] == label


def test_parameters_of_maps_that_are_not_there_are_not_tuned():
    reference = cells((48, 48), 6, 0)[None]
    tried = []

    class Watched(Watershed):
        def __call__(self, maps):
            tried.append(self)
            return super().__call__(maps)

    tune(Watched(), [perfect_maps(reference, ("mask", "distance"))], [reference], lambda _r, p: float(p[0].max()))
    assert len({each.seed_distance for each in tried}) > 1
    assert {each.seed_centre for each in tried} == {0.5}
    assert {each.seed_boundary for each in tried} == {0.5}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(6, 20, 23), (1, 40, 40), (30, 1, 9), (1, 1, 1)])
def test_the_flood_of_large_volumes_equals_other_libraries(shape, seed, monkeypatch):
    """On random heights far enough apart for the levels that are told apart, where only one result is right."""
    monkeypatch.setattr(regions, "SMALL_VOXELS", 0)
    rng = np.random.default_rng(seed)
    landscape = (rng.permutation(int(np.prod(shape))).reshape(shape) / 7 - 50).astype(np.float32)
    mask = rng.random(shape) > 0.15
    seeds = (rng.integers(1, 90_000, shape) * (rng.random(shape) > 0.97)).astype(np.uint32)
    found = regions.flood(landscape, seeds, mask, 3)
    np.testing.assert_array_equal(found, sk_watershed(landscape, np.where(mask, seeds, 0).astype(np.int64), mask=mask))
    np.testing.assert_array_equal(found, watershed(landscape, seeds, mask=mask))


def test_the_flood_of_large_volumes_meets_halfway_on_a_plateau(monkeypatch):
    """Also where one height has more voxels than a block of its queue."""
    monkeypatch.setattr(regions, "SMALL_VOXELS", 0)
    seeds = np.zeros((3, 60, 61), np.uint32)
    seeds[:, :, 0], seeds[:, :, 60] = 1, 2
    found = regions.flood(np.zeros(seeds.shape, np.float32), seeds, np.ones(seeds.shape, bool), 3)
    assert (found[:, :, :30] == 1).all()
    assert (found[:, :, 31:] == 2).all()


@pytest.mark.parametrize("sigma_px", [1.0, 2.5])
def test_smoothing_equals_scipy(sigma_px):
    values = np.random.default_rng(0).random((3, 9, 30)).astype(np.float32)
    expected = gaussian_filter(values, (0, sigma_px, sigma_px), mode="nearest", truncate=3.0)
    np.testing.assert_allclose(regions.smooth(values, sigma_px), expected, atol=2e-3)
