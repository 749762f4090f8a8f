"""Pictures of the errors of objects: what was cut, joined, missed and invented, each in a colour of its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.metrics.object_errors import ObjectErrors
from anyscope.reports.palette import BOTH, INEXACT, MERGE, PREDICTION, REFERENCE, SPLIT, Colour
from anyscope.reports.pictures import Layer, paint, rims

KINDS: Mapping[str, Colour] = {"split": SPLIT, "merge": MERGE, "missed": REFERENCE, "invented": PREDICTION}
"""The kinds of error that have a list of the worst, and their colours."""


def error_layer(reference: Labels, prediction: Labels, errors: ObjectErrors, width_px: int = 2) -> Layer:
    """The errors of one plane.

    Missed and invented objects are filled. Split objects are tinted and crossed by the lines along which they were
    cut, merged ones by the walls that were lost: the lines in the middle between their parts. Over all of it are the
    outlines of both sides, white where they coincide.

    Args:
        reference: Label image (y, x), 0 background.
        prediction: The same.
        errors: Of the image or stack that the plane is from; the plane may be sampled more coarsely.
        width_px: Width of the lines.
    """
    first, second = np.asarray(reference), np.asarray(prediction)
    missed = _has(first, errors.reference_ids, errors.missed) & (second == 0)
    invented = _has(second, errors.prediction_ids, errors.invented) & (first == 0)
    inside = _has(second, errors.prediction_ids, errors.invented) & (first != 0)
    lost = _has(first, errors.reference_ids, errors.missed) & (second != 0)
    inexact = _has(first, errors.reference_ids, errors.inexact)
    split = _has(first, errors.reference_ids, errors.split)
    merge = _has(second, errors.prediction_ids, errors.merge)
    names = errors.reference_ids[errors.rows], errors.prediction_ids[errors.cols]
    cuts = dividing_lines(np.where(split, first, 0), second, *names, width_px)
    walls = dividing_lines(np.where(merge, second, 0), first, *names[::-1], width_px)
    rim, other = rims(first, max(1, width_px // 2)), rims(second, max(1, width_px // 2))
    return paint(
        (first.shape[0], first.shape[1]),
        (inexact, INEXACT, 68),
        (split, SPLIT, 68),
        (merge, MERGE, 85),
        (missed | lost, REFERENCE, 204),
        (invented | inside, PREDICTION, 204),
        (rim, REFERENCE, 221),
        (other, PREDICTION, 221),
        (rim & other, BOTH, 221),
        (cuts, SPLIT, 255),
        (walls, MERGE, 255),
    )


def dividing_lines(
    owners: Labels, parts: Labels, owner_ids: NDArray[np.integer], part_ids: NDArray[np.integer], width_px: int
) -> NDArray[np.bool_]:
    """The lines within each owner along which its parts come nearest to each other.

    Args:
        owners: (y, x) the objects that have parts, 0 elsewhere.
        parts: (y, x) label image of the other side.
        owner_ids: (k,) and ``part_ids`` (k,): which parts belong to which owner; other overlaps are no parts.
        part_ids: See ``owner_ids``.
        width_px: Width of the lines.

    >>> owners, parts = np.ones((1, 7), int), np.array([[5, 5, 0, 0, 0, 6, 6]])
    >>> dividing_lines(owners, parts, np.array([1, 1]), np.array([5, 6]), 1).astype(int)
    array([[0, 0, 0, 1, 1, 0, 0]])
    """
    from scipy import ndimage

    places = _links(owners, parts, owner_ids, part_ids)
    if not places.any():
        return np.zeros(owners.shape, bool)
    nearest = ndimage.distance_transform_edt(places == 0, return_distances=False, return_indices=True)
    spread = places[tuple(nearest)]
    # What comes nearest across the border of an owner says nothing about it.
    spread[np.asarray(owner_ids)[spread - 1] != owners] = 0
    lines = np.zeros(owners.shape, bool)
    for axis in range(2):
        own, part, line = (np.moveaxis(array, axis, 0) for array in (owners, spread, lines))
        meet = (own[1:] == own[:-1]) & (part[1:] != part[:-1]) & (part[1:] != 0) & (part[:-1] != 0)
        line[1:] |= meet
        line[:-1] |= meet
    if width_px > 1:
        lines = ndimage.binary_dilation(lines, iterations=width_px // 2) & (owners != 0)
    return np.asarray(lines)


def _links(
    owners: Labels, parts: Labels, owner_ids: NDArray[np.integer], part_ids: NDArray[np.integer]
) -> NDArray[np.int64]:
    """For each pixel the number (from 1) of the pair of owner and part that it shows; 0 where it shows none."""
    result = np.zeros(owners.shape, np.int64)
    chosen = (owners != 0) & (parts != 0)
    if not chosen.any() or not len(owner_ids):
        return result
    first, rows = np.unique(owner_ids, return_inverse=True)
    second, cols = np.unique(part_ids, return_inverse=True)
    keys = rows * len(second) + cols
    order = np.argsort(keys)
    y = np.searchsorted(first, owners[chosen]).clip(0, len(first) - 1)
    x = np.searchsorted(second, parts[chosen]).clip(0, len(second) - 1)
    known = (first[y] == owners[chosen]) & (second[x] == parts[chosen])
    wanted = y * len(second) + x
    place = np.searchsorted(keys, wanted, sorter=order).clip(0, len(keys) - 1)
    found = known & (keys[order[place]] == wanted)
    result[chosen] = np.where(found, order[place] + 1, 0)
    return result


def _has(labels: Labels, ids: NDArray[np.integer], flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels whose label is one of the flagged ids."""
    return np.asarray(np.isin(labels, ids[flags]))


def error_legend(numbers: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Colours of :func:`error_layer` and what they mean, with how many there are: (CSS colour, meaning).

    Args:
        numbers: As :meth:`anyscope.metrics.object_errors.ObjectErrors.numbers` gives them.
    """
    entries: tuple[tuple[Colour, str], ...] = (
        (SPLIT, f"split: {numbers['split']} of the reference, lines where they were cut"),
        (MERGE, f"merge: {numbers['merge']} of the prediction over {numbers['merged']} of the reference, "
                "lines where the wall was lost"),
        (REFERENCE, f"missed: {numbers['missed']} of the reference"),
        (PREDICTION, f"invented: {numbers['invented']} of the prediction"),
        (INEXACT, f"inexact: {numbers['inexact']} with an IoU of at most 0.5"),
        (BOTH, f"found: {numbers['found']}; outlines white where they coincide, blue of the reference, orange of the "
               "prediction"),
    )  # fmt: skip
    return tuple((f"rgb{colour}", meaning) for colour, meaning in entries)
