"""Stacks to scroll through: bounded, complete and the same in every plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.metrics import contingency
from anyscope.metrics.object_errors import object_errors
from anyscope.reports.blocks import Stacks
from anyscope.reports.page import Page, Section
from anyscope.reports.stacks import Stack, StackLimits, chosen_planes, stack_item

from .outline import Outline
from .test_pictures import decoded


def stack_of(depth: int = 5, shape: tuple[int, int] = (40, 60), by_plane: bool = False) -> Stack:
    rng = np.random.default_rng(3)
    reference = np.zeros((depth, *shape), int)
    for z in range(depth):
        reference[z, 5:25, 5 + z : 25 + z], reference[z, 5:25, 27 + z : 45 + z] = 1, 2
    prediction = np.where(reference == 2, 7, reference)
    errors = object_errors(contingency(reference, prediction))
    if by_plane:
        pairs = zip(reference, prediction, strict=True)
        several = tuple(object_errors(contingency(*pair)) for pair in pairs)
    image = rng.normal(size=reference.shape) + (reference > 0)
    return Stack("stack", image, reference, prediction, tuple(range(depth)), depth,
                 several if by_plane else (errors,), "accuracy 0.5", VoxelSize(40, 5, 5))  # fmt: skip


@given(st.integers(1, 500), st.integers(1, 60))
def test_chosen_planes_are_spread_evenly(depth: int, limit: int) -> None:
    planes = chosen_planes(depth, limit)
    assert len(planes) == min(depth, limit)
    assert sorted(set(planes)) == list(planes)
    assert 0 <= planes[0] <= planes[-1] < depth
    if limit > 1:
        assert (planes[0], planes[-1]) == (0, depth - 1)
        assert np.ptp(np.diff(planes)) <= 1 if len(planes) > 1 else True


def test_views_of_instances_and_of_masks() -> None:
    item = stack_item(stack_of(), "instances")
    assert item.views == ("Image", "Reference", "Prediction", "Errors")
    assert [plane.z for plane in item.planes] == [0, 1, 2, 3, 4]
    assert item.middle == 2
    assert item.note == "accuracy 0.5, all planes"
    assert (item.width, item.height) == (480, 320)
    assert decoded(item.planes[0].layers[2]).size == (480, 320)
    mask = stack_item(replace(stack_of(), errors=()), "semantic")
    assert mask.views == item.views
    assert not mask.filled
    assert stack_item(replace(stack_of(), errors=()), "instances").views == ("Image", "Reference", "Prediction")


@pytest.mark.parametrize("by_plane", [False, True])
def test_an_object_has_its_colour_in_all_planes_and_so_has_its_partner(by_plane: bool) -> None:
    item = stack_item(stack_of(by_plane=by_plane), "instances")
    seen = set()
    for z, plane in enumerate(item.planes):
        reference, prediction = (np.asarray(decoded(uri).convert("RGBA")) for uri in plane.layers[:2])
        assert (reference == prediction).all()
        first, second = reference[8 * 15, 8 * (15 + z)], reference[8 * 15, 8 * (35 + z)]
        assert first[3] == second[3] == 68
        seen.add((*first[:3].tolist(), *second[:3].tolist()))
    assert len(seen) == 1
    assert next(iter(seen))[:3] != next(iter(seen))[3:]


@pytest.mark.parametrize("characters", [2_000_000, 150_000, 60_000, 1])
def test_the_bound_of_the_size_holds(characters: int) -> None:
    stack = stack_of(16, (220, 300))
    item = stack_item(stack, "instances", StackLimits(planes=8, longest_px=300, characters=characters))
    assert 1 <= len(item.planes) <= 8
    assert item.characters <= characters or (len(item.planes) == 1 and max(item.width, item.height) <= 192)
    assert f"{len(item.planes)} of 16 planes" in item.note
    if item.width < 300:
        assert f"300 x 220 pixels shown as {item.width} x {item.height}" in item.note
    if characters > 10**6:
        assert (len(item.planes), item.width) == (8, 300)


def test_stacks_that_do_not_agree_are_refused() -> None:
    stack = stack_of()
    with pytest.raises(BadInput, match="4 planes"):
        replace(stack, z=(0, 1, 2, 3))
    with pytest.raises(BadInput, match="errors of 2 images"):
        replace(stack, errors=stack.errors * 2)
    with pytest.raises(BadInput, match="same shape"):
        replace(stack, image=stack.image[:, 1:])


def test_the_page_requests_nothing_and_shows_the_middle_plane_without_scripts() -> None:
    items = tuple(stack_item(stack_of(depth), "instances") for depth in (5, 1))
    outline = Outline(Page("p", "", (Section("s", (Stacks("", items, (("red", "x"),)),)),)).html())
    outline.assert_requests_nothing()
    assert len(outline.all("script")) == 1
    planes = [attributes for attributes in outline.all("svg") if "plane" in (attributes.get("class") or "")]
    assert [plane["data-z"] for plane in planes if plane["class"] == "plane current"] == ["2", "0"]
    assert all(plane["aria-label"] for plane in planes)
    inputs = outline.all("input")
    assert [attributes["type"] for attributes in inputs] == [
        *["radio"] * 4,
        "checkbox",
        "range",
        *["radio"] * 4,
        "checkbox",
    ]
    assert len(outline.all("label")) == len(inputs)
    assert "hidden" in next(attributes for attributes in outline.all("label") if attributes.get("class") == "slider")
    assert "only the middle plane, z 2" in outline.text
