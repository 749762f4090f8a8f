from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyscope.datasets.folder import ImageRegion, UnlabelledImages
from anyscope.datasets.holding_out import hold_out
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import open_image, write_image


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "a.tif"
    write_image(path, np.zeros((1, 40, 30, 20), np.uint8))
    return open_image(path)


def regions(image, *shapes):
    return UnlabelledImages(
        tuple(ImageRegion(f"r{n}", image, Roi((0, 0, 0), shape), None) for n, shape in enumerate(shapes))
    )


def voxels(images):
    covered = {}
    for region in images:
        covered.setdefault(region.stem, np.zeros((40, 30, 20), int))[region.roi.slices] += 1
    return covered


shapes = st.lists(st.tuples(st.integers(1, 40), st.integers(2, 30), st.integers(2, 20)), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(shapes=shapes, share=st.floats(0.01, 0.5), seed=st.integers(0, 50))
def test_every_voxel_is_in_one_of_both(image, shapes, share, seed):
    images = regions(image, *shapes)
    learn, held = hold_out(images, share, seed)
    assert len(learn) > 0
    assert len(held) > 0
    first, second, whole = voxels(learn), voxels(held), voxels(images)
    for stem, expected in whole.items():
        assert np.array_equal(first.get(stem, 0) + second.get(stem, 0) + 0 * expected, expected)


def test_stacks_lose_their_last_planes_and_flat_images_some_of_them(image):
    learn, held = hold_out(regions(image, (40, 30, 20), *[(1, 30, 20)] * 20), 0.1, 0)
    assert [region.roi for region in held if region.stem == "r0"] == [Roi((36, 0, 0), (40, 30, 20))]
    assert len(held) == 1 + 2
    assert {region.stem for region in learn if region.stem != "r0"}.isdisjoint({region.stem for region in held})
    again = hold_out(regions(image, (40, 30, 20), *[(1, 30, 20)] * 20), 0.1, 0)
    assert [region.stem for region in again[1]] == [region.stem for region in held]
    other = hold_out(regions(image, (40, 30, 20), *[(1, 30, 20)] * 20), 0.1, 1)
    assert [region.stem for region in other[1]] != [region.stem for region in held]


def test_a_single_plane_is_cut_along_its_longer_side(image):
    learn, held = hold_out(regions(image, (1, 30, 20)), 0.1, 0)
    assert learn[0].roi == Roi((0, 0, 0), (1, 27, 20))
    assert held[0].roi == Roi((0, 27, 0), (1, 30, 20))


def test_a_single_pixel_cannot_be_divided(image):
    with pytest.raises(BadInput, match="an image that can be divided"):
        hold_out(regions(image, (1, 1, 1)), 0.1, 0)
