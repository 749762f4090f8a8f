"""Seeds from centres, interiors grown, volumes with slices far apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.instances import Components, Watershed, tune

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
