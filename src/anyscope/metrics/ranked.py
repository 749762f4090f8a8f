"""Average precision of objects ranked by a score, as COCO and the MitoEM challenge compute it.

This is not TP/(TP+FP+FN), for which see :mod:`anyscope.metrics.matching`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from anyscope.metrics.contingency import Sizes
from anyscope.metrics.matching import ObjectPairs

SizeRanges = dict[str, tuple[float, float]]

MITOEM_RANGES: SizeRanges = {
    "all": (0, inf),
    "small": (0, 5e3),
    "medium": (5e3, 1.5e4),
    "large": (1.5e4, inf),
}
"""Object sizes in voxels, above the first and up to the second; the defaults of mAP_3Dvolume, the MitoEM script."""

RECALL_STEPS = 100


def detections(
    pairs: ObjectPairs, scores: NDArray[np.float64], ranges: SizeRanges = MITOEM_RANGES
) -> NDArray[np.float64]:
    """What the predicted objects of one image contribute to the average precision, for images to be joined.

    For each size range an object is compared with the reference object of that range that it overlaps best, or, if it
    overlaps none of that range, with the best of all. Two objects can both have an IoU of exactly .5 with one reference
    object; then only the one with the higher score keeps it.

    Args:
        pairs: Objects of the image and their IoU.
        scores: (m,) score of each predicted object, the higher the surer.
        ranges: Size ranges by name.

    Returns:
        (m, 2 + 2 r): score, size, then for each range the IoU with the compared object and whether it is in the range.
    """
    order = np.lexsort((pairs.rows, -pairs.ious, pairs.cols))
    rows, cols, ious = pairs.rows[order], pairs.cols[order], pairs.ious[order]
    ious = np.where(_claimed(rows, cols, ious, scores), ious, 0.0)
    table = np.zeros((scores.size, 2 + 2 * len(ranges)))
    table[:, 0], table[:, 1] = scores, pairs.prediction_sizes
    for index, limits in enumerate(ranges.values()):
        inside = within(pairs.reference_sizes[rows], limits)
        for which in (np.ones(rows.size, bool), inside):
            matched, first = np.unique(cols[which], return_index=True)
            table[matched, 2 + 2 * index] = ious[which][first]
            table[matched, 3 + 2 * index] = inside[which][first]
    return table


def _claimed(
    rows: NDArray[np.int64], cols: NDArray[np.int64], ious: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """False for pairs at an IoU of .5 whose reference object another predicted object of a higher score claims."""
    claimed = np.ones(rows.size, bool)
    half = np.flatnonzero(ious >= 0.5)
    half = half[np.lexsort((cols[half], -scores[cols[half]], rows[half]))]
    later = rows[half][1:] == rows[half][:-1]
    claimed[half[1:][later]] = False
    return claimed


def within(sizes: Sizes | NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Which sizes are above the first limit and at most the second."""
    inside: NDArray[np.bool_] = (sizes > limits[0]) & (sizes <= limits[1])
    return inside


def reference_counts(pairs: ObjectPairs, ranges: SizeRanges = MITOEM_RANGES) -> Sizes:
    """Number of reference objects in each size range."""
    return np.array([within(pairs.reference_sizes, limits).sum() for limits in ranges.values()], np.int64)


def average_precision(
    table: NDArray[np.float64],
    references: Sizes,
    thresholds: Sequence[float],
    ranges: SizeRanges = MITOEM_RANGES,
) -> NDArray[np.float64]:
    """Average precision at each threshold and size range, by interpolation at 101 recalls.

    An object matches where its IoU is **at least** the threshold. Matches with reference objects out of the range, and
    unmatched objects whose own size is out of it, count neither as true nor as false. Among equal scores the worse
    match comes first, so that the result does not depend on ids.

    Args:
        table: Rows of :func:`detections`, of one image or of several.
        references: (r,) number of reference objects in each range.
        thresholds: (t,) IoU.
        ranges: The size ranges given to :func:`detections`.

    Returns:
        (t, r); NaN for ranges without reference objects.

    Source: Lin et al., Microsoft COCO, ECCV 2014, and its evaluation code; Wei et al., MitoEM Dataset, MICCAI 2020.
    """
    result = np.full((len(thresholds), len(ranges)), nan)
    for column, limits in enumerate(ranges.values()):
        if not references[column]:
            continue
        ious, inside = table[:, 2 + 2 * column], table[:, 3 + 2 * column].astype(bool)
        order = np.lexsort((ious, -table[:, 0]))
        own_size_counts = within(table[:, 1], limits)
        for row, threshold in enumerate(thresholds):
            matched = ious >= threshold
            hits, misses = (matched & inside)[order], (~matched & own_size_counts)[order]
            result[row, column] = _interpolated(hits, misses, int(references[column]))
    return result


def _interpolated(hits: NDArray[np.bool_], misses: NDArray[np.bool_], references: int) -> float:
    """Mean over recalls 0, .01 .. 1 of the best precision at that recall or a higher one."""
    true, false = np.cumsum(hits), np.cumsum(misses)
    precision = true / np.maximum(true + false, 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # Compared as integers: rounding must not decide whether 29 of 100 objects reach a recall of .29.
    reached = np.searchsorted(RECALL_STEPS * true, np.arange(RECALL_STEPS + 1) * references, side="left")
    return float(best[reached].mean())
