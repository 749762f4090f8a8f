"""Pictures of errors: colours of each kind by hand, lines between parts, crops and tags."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anyscope.geometry import VoxelSize
from anyscope.metrics import contingency
from anyscope.metrics.contributions import rand_contributions
from anyscope.metrics.object_errors import LinkRule, object_errors
from anyscope.reports.error_crops import error_crop, marks, telling_plane, window
from anyscope.reports.error_pictures import dividing_lines, error_layer, error_legend
from anyscope.reports.object_findings import Compared, kind_totals, total_numbers, worst_errors
from anyscope.reports.palette import INEXACT, MERGE, PREDICTION, REFERENCE, SPLIT


def scene() -> tuple[np.ndarray, np.ndarray]:
    """From left to right: found, split, merged, missed, invented, inexact."""
    reference, prediction = np.zeros((2, 24, 120), int)
    reference[2:22, 2:16] = 1
    prediction[2:22, 2:16] = 11
    reference[2:22, 20:40] = 2
    prediction[2:22, 20:29], prediction[2:22, 31:40] = 12, 13
    reference[2:11, 44:60], reference[13:22, 44:60] = 3, 4
    prediction[2:22, 44:60] = 14
    reference[2:22, 64:80] = 5
    prediction[2:22, 84:100] = 15
    reference[2:22, 104:118] = 6
    prediction[8:14, 104:118] = 16
    return reference, prediction


def test_every_kind_has_its_colour() -> None:
    reference, prediction = scene()
    errors = object_errors(contingency(reference, prediction))
    layer = error_layer(reference, prediction, errors, 1)
    assert layer[12, 8, 3] == 0  # found: the image alone
    for place, colour in (((6, 25), SPLIT), ((6, 50), MERGE), ((12, 72), REFERENCE), ((12, 92), PREDICTION)):
        assert tuple(layer[(*place, slice(3))]) == colour
        assert 0 < layer[(*place, 3)] < 255
    assert tuple(layer[5, 110, :3]) == INEXACT
    cut, wall = layer[12, 20:40], layer[2:22, 52]
    assert [tuple(pixel[:3]) == SPLIT and pixel[3] == 255 for pixel in cut].index(True) in (9, 10)
    assert [tuple(pixel[:3]) == MERGE and pixel[3] == 255 for pixel in wall].index(True) in (9, 10)
    assert layer[0, 0, 3] == 0
    legend = dict(error_legend(errors.numbers()))
    assert legend[f"rgb{MERGE}"].startswith("merge: 1 of the prediction over 2 of the reference")
    assert len(legend) == 6


def test_an_object_that_is_in_another_plane_too_keeps_its_kind() -> None:
    reference, prediction = (np.stack([labels, labels]) for labels in scene())
    prediction[1, 2:22, 20:40] = 12  # whole here, cut in the other plane
    errors = object_errors(contingency(reference, prediction))
    assert 2 in errors.reference_ids[errors.split]
    layer = error_layer(reference[1], prediction[1], errors, 1)
    assert tuple(layer[6, 25, :3]) == SPLIT
    assert not (layer[5:19, 24:36, 3] == 255).any()  # no line: it was not cut here


@given(arrays(np.int64, (8, 9), elements=st.integers(0, 3)), arrays(np.int64, (8, 9), elements=st.integers(0, 4)))
def test_lines_divide_only_owners_with_several_parts(owners: np.ndarray, parts: np.ndarray) -> None:
    pairs = np.unique(np.stack([owners, parts], -1)[(owners != 0) & (parts != 0)].reshape(-1, 2), axis=0)
    lines = dividing_lines(owners, parts, *pairs.T, 1)
    several = [owner for owner in (1, 2, 3) if (pairs[:, 0] == owner).sum() > 1]
    assert not lines[~np.isin(owners, several)].any()
    # Touching parts of one owner are always divided.
    for axis in (0, 1):
        own, part, line = (np.moveaxis(array, axis, 0) for array in (owners, parts, lines))
        meet = (own[1:] == own[:-1]) & (own[1:] != 0) & (part[1:] != part[:-1]) & (part[1:] != 0) & (part[:-1] != 0)
        assert line[1:][meet].all()
        assert line[:-1][meet].all()


def test_overlaps_that_are_no_links_divide_nothing() -> None:
    owners, parts = np.ones((3, 6), int), np.array([[7, 7, 7, 7, 7, 8]] * 3)
    assert not dividing_lines(owners, parts, np.array([1]), np.array([7]), 1).any()
    assert not dividing_lines(owners, parts, np.zeros(0, int), np.zeros(0, int), 1).any()


def compared() -> list[Compared]:
    reference, prediction = scene()
    return [Compared.of("a", None, reference, prediction), Compared.of("b", None, reference[:, :60], reference[:, :60])]


def test_kinds_add_up_to_the_pooled_scores() -> None:
    both = compared()
    totals = kind_totals(both)
    assert [total.objects for total in totals[:4]] == [1, 1, 1, 1]
    parts = [each.rand for each in both]
    pooled = sum(part.score * part.scale for part in parts) / sum(part.scale for part in parts)
    assert sum(total.rand for total in totals) == pytest.approx(pooled)
    assert sum(total.information for total in totals) == pytest.approx(
        sum(each.information.score * each.information.scale for each in both)
        / sum(each.information.scale for each in both)
    )
    named = {total.kind: total for total in totals}
    assert named["invented"].rand == 0
    assert named["invented"].pixels == 20 * 16
    assert named["split"].rand > 0 < named["merge"].rand
    assert total_numbers(both)["found"] == 1 + 4


def test_the_worst_are_ranked_by_what_they_add() -> None:
    reference, prediction = scene()
    prediction[2:22, 8] = 0
    prediction[2:22, 9:16] = 17  # a second, smaller split: 6 and 7 of 14 columns
    first = Compared.of("a", None, reference, prediction)
    listed = worst_errors([first], per_kind=2)
    assert [error.tag for error in listed] == ["S1", "S2", "M1", "L1", "I1"]
    assert [error.id for error in listed] == [2, 1, 14, 5, 15]
    assert listed[0].rand > listed[1].rand > 0
    rand = rand_contributions(contingency(reference, prediction))
    assert listed[0].rand == pytest.approx((rand.splitting + rand.unpredicted)[1] / rand.scale)
    assert listed[0].parts == ((12, 180), (13, 180))
    assert str(listed[0]).startswith(
        "Reference object 2 of 400 pixels, split into 2 predicted objects (45%, 45% of it)"
    )
    assert str(listed[4]) == "Predicted object 15 of 320 pixels, invented"
    nothing = Compared.of("empty", None, np.zeros((3, 3), int), np.eye(3, dtype=int))
    assert [error.kind for error in worst_errors([nothing])] == ["invented"]


def test_crops_show_the_object_and_where_it_is_told_best() -> None:
    reference, prediction = scene()
    stack = (
        np.stack([np.zeros_like(reference), reference, reference]),
        np.stack([prediction * 0, reference, prediction]),
    )
    whole = Compared.of("a", None, *stack)
    errors = worst_errors([whole])
    split = next(error for error in errors if error.tag == "S1")
    assert telling_plane(split, *stack) == 2
    item = error_crop(split, whole.errors, np.random.default_rng(0).random(reference.shape), *scene(), "a[2]",
                      VoxelSize(None, 10, 10))  # fmt: skip
    assert item.name == "S1 in a[2]"
    assert [panel.caption for panel in item.panels] == ["Image", "Reference", "Prediction", "Errors"]
    assert [mark.text for mark in item.panels[3].marks] == ["S1"]
    assert item.width / item.height == pytest.approx(64 / 24)
    assert item.scale_bar is not None


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_windows_hold_the_object_and_stay_inside(height: int, width: int, data: st.DataObject) -> None:
    inside = np.zeros((height, width), bool)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    inside[y : y + data.draw(st.integers(1, 60)), x : x + data.draw(st.integers(1, 60))] = True
    rows, columns = window(inside)
    assert inside[rows, columns].sum() == inside.sum()
    assert 0 <= rows.start < rows.stop <= height
    assert 0 <= columns.start < columns.stop <= width
    assert rows.stop - rows.start >= min(64, height)


def test_marks_are_on_their_objects() -> None:
    reference, prediction = scene()
    ring = np.zeros((24, 120), int)
    ring[2:22, 2:22] = 5
    ring[4:20, 4:20] = 0
    errors = worst_errors([Compared.of("a", None, reference, prediction)])
    placed = {mark.text: mark for mark in marks(errors, ring, np.zeros_like(ring))}
    assert list(placed) == ["L1"]
    assert ring[int(placed["L1"].y), int(placed["L1"].x)] == 5
    assert object_errors(contingency(reference, prediction), LinkRule()).numbers()["missed"] == 1
