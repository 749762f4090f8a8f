"""Views: the same for everybody, spread, at working pixels, images and labels in the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.adaptation.views import Cuts, _starts, read_labels_only, read_views
from anyscope.datasets import open_dataset
from anyscope.images import write_image, write_labels
from anyscope.models import SegmenterSpec

SPEC = SegmenterSpec(model="unet_simple", task="semantic", intensity={"kind": "dtype"})


@pytest.fixture
def stacks(tmp_path):
    """Two stacks whose labels can be read off their grey levels, which tell the slice too."""
    for number, shape in enumerate([(6, 80, 120), (9, 50, 64)]):
        mask = np.random.default_rng(number).random((shape[0], *(n // 8 + 1 for n in shape[1:]))) > 0.6
        mask = mask.repeat(8, 1).repeat(8, 2)[:, : shape[1], : shape[2]]
        image = 10 * np.arange(shape[0])[:, None, None] + 120 * mask
        write_image(tmp_path / "images" / f"{number}.tif", image.astype(np.uint8)[None])
        write_labels(tmp_path / "labels" / f"{number}.tif", mask.astype(np.uint8))
    return open_dataset(tmp_path)


def test_images_and_labels_are_of_the_same_place(stacks):
    views = read_views(stacks.labelled(None).regions, SPEC, 1.0, Cuts(planes=12, crop_px=40, depth=3))
    assert len(views) == 4
    for view in views:
        assert view.image.shape[1] == view.reference.shape[0] == 3
        assert view.image.shape[2:] == view.reference.shape[1:] == (40, 40)
        assert np.array_equal(view.image[0] * 255 > 100, view.reference > 0)
        assert view.valid.all()


def test_the_same_views_without_labels(stacks):
    cuts = Cuts(planes=12, crop_px=40, depth=3)
    labelled = read_views(stacks.labelled(None).regions, SPEC, 1.0, cuts)
    plain = read_views(stacks.unlabelled(None).regions, SPEC, 1.0, cuts)
    assert all(np.array_equal(one.image, other.image) for one, other in zip(labelled, plain, strict=True))
    assert all(view.reference is None and view.valid is None for view in plain)


@pytest.mark.parametrize("zoom", [0.5, 1.3])
def test_views_are_at_working_pixels(stacks, zoom):
    views = read_views(stacks.labelled(None).regions, SPEC, zoom, Cuts(planes=2, crop_px=48, depth=1))
    for view in views:
        assert view.image.shape[2:] == view.reference.shape[1:]
        assert max(view.image.shape[2:]) <= 48
        middle = (view.image.min() + view.image.max()) / 2
        assert np.mean((view.image[0] > middle) == view.reference) > 0.9  # edges are smooth


def test_neighbouring_slices_are_there_but_not_judged(stacks):
    spec = SPEC.model_copy(update={"neighbours": 1})
    for view in read_views(stacks.unlabelled(None).regions, spec, 1.0, Cuts(planes=30, depth=2)):
        slices = np.round(view.image[0].min(axis=(1, 2)) * 25.5)
        assert np.array_equal(np.diff(slices), np.ones(len(slices) - 1))
        judged = slices[view.core]
        assert len(judged) == 2
        assert slices[0] == max(0, judged[0] - 1)


def test_every_region_comes_before_any_comes_twice(stacks):
    regions = stacks.unlabelled(None).regions * 3
    views = read_views(regions, SPEC, 1.0, Cuts(planes=6, depth=1))
    assert sorted(view.image.shape[2:] for view in views) == [(50, 64)] * 3 + [(80, 120)] * 3


def test_small_domains_give_what_they_have(stacks):
    regions = (stacks.unlabelled(None).regions[0].planes(0, 1),)
    assert len(read_views(regions, SPEC, 1.0, Cuts(depth=1))) == 1
    assert len(read_views(regions, SPEC, 1.0, Cuts(crop_px=40, depth=1))) == 6


def test_cuts_never_overlap(stacks):
    seen = np.zeros((6, 80, 120), int)
    views = read_views((stacks.unlabelled(None).regions[0],), SPEC, 1.0, Cuts(planes=200, crop_px=50, depth=2))
    assert len(views) == 3 * 1 * 2
    assert seen.size > sum(view.image[0].size for view in views) == 6 * 2 * 50 * 50


def test_labels_alone(stacks):
    labels, valid = read_labels_only(stacks.labelled(None).regions, SPEC, 1.0, Cuts(labelled_planes=8, depth=2))
    assert len(labels) == len(valid) == 4
    assert [each.shape[0] for each in labels] == [2] * 4


def test_the_depth_is_what_both_domains_have(stacks):
    deep, flat = stacks.unlabelled(None).regions, (stacks.unlabelled(None).regions[0].planes(2, 3),)
    assert Cuts(depth=4).for_domains(deep, deep).depth == 4
    assert Cuts(depth=4).for_domains(deep, flat).depth == 1
    assert Cuts(depth=20, planes=5).for_domains(deep).depth == 5


@given(st.integers(1, 5000), st.integers(1, 600))
def test_parts_lie_inside_and_do_not_overlap(length, part):
    part = min(part, length)
    starts = np.array(_starts(length, part))
    assert starts[0] == 0
    assert starts[-1] + part <= length
    assert (np.diff(starts) >= part).all()
    assert len(starts) == length // part
