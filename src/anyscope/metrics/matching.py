"""Objects matched one to one by their IoU: TP/(TP+FP+FN), F1 and panoptic quality.

Two different predicted objects cannot both overlap a reference object with an IoU above .5, because the two would
cover more than the whole of it. Above that threshold the matches are therefore unique and need no assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.metrics.contingency import Contingency, Sizes

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU .50:.05:.95."""


@dataclass(frozen=True, eq=False)
class ObjectPairs:
    """The objects of both label images (label 0 is not one) and the IoU of those that touch.

    Args:
        reference_sizes: (n,) pixels of each reference object.
        prediction_sizes: (m,) pixels of each predicted object.
        rows: (k,) index of the reference object of each pair that shares pixels.
        cols: (k,) index of the predicted object.
        ious: (k,) intersection over union, above 0.
    """

    reference_sizes: Sizes
    prediction_sizes: Sizes
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    ious: NDArray[np.float64]


def object_pairs(table: Contingency) -> ObjectPairs:
    """All pairs of a reference and a predicted object that share pixels. Pixels on background count in the unions."""
    reference, prediction = table.reference_ids != 0, table.prediction_ids != 0
    pairs = reference[table.rows] & prediction[table.cols]
    rows, cols, both = table.rows[pairs], table.cols[pairs], table.counts[pairs]
    union = table.reference_sizes[rows] + table.prediction_sizes[cols] - both
    return ObjectPairs(
        table.reference_sizes[reference],
        table.prediction_sizes[prediction],
        rows - int((~reference[:1]).sum()),
        cols - int((~prediction[:1]).sum()),
        both / union,
    )


@dataclass(frozen=True, eq=False)
class Matches:
    """Matched and unmatched objects at each threshold.

    Args:
        thresholds: (t,) a pair matches where its IoU is **above** the threshold (at least .5).
        tp: (t,) matched pairs.
        fp: (t,) predicted objects without a match.
        fn: (t,) reference objects without a match.
        iou_sum: (t,) sum of the IoU of the matched pairs.
    """

    thresholds: NDArray[np.float64]
    tp: Sizes
    fp: Sizes
    fn: Sizes
    iou_sum: NDArray[np.float64]


def match(pairs: ObjectPairs, thresholds: Sequence[float] = THRESHOLDS) -> Matches:
    """Count the matches at each of the thresholds.

    Raises:
        ValueError: A threshold is below .5, where matches are not unique, or not below 1.
    """
    limits = np.asarray(thresholds, np.float64)
    if not ((limits >= 0.5) & (limits < 1)).all():
        raise ValueError(f"IoU thresholds must be in .5 <= threshold < 1, not {list(thresholds)}")
    ious = np.sort(pairs.ious)
    first = np.searchsorted(ious, limits, side="right")
    tp = ious.size - first
    above = np.concatenate([np.cumsum(ious[::-1])[::-1], [0.0]])
    return Matches(limits, tp, pairs.prediction_sizes.size - tp, pairs.reference_sizes.size - tp, above[first])


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def match_accuracy(matches: Matches) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) at each threshold; NaN without objects.

    This is what StarDist calls accuracy, Cellpose average precision, the Data Science Bowl 2018 precision and micro-sam
    segmentation accuracy. It is not the average precision of COCO, for which see :mod:`anyscope.metrics.ranked`.
    """
    return _ratio(matches.tp.astype(float), (matches.tp + matches.fp + matches.fn).astype(float))


def recognition_quality(matches: Matches) -> NDArray[np.float64]:
    """F1 of the objects, TP / (TP + FP/2 + FN/2), at each threshold; NaN without objects."""
    return _ratio(matches.tp.astype(float), matches.tp + 0.5 * (matches.fp + matches.fn))


def segmentation_quality(matches: Matches) -> NDArray[np.float64]:
    """Mean IoU of the matched pairs at each threshold; NaN without matches."""
    return _ratio(matches.iou_sum, matches.tp.astype(float))


def panoptic_quality(matches: Matches) -> NDArray[np.float64]:
    """PQ = SQ RQ at each threshold (Kirillov et al., Panoptic Segmentation, CVPR 2019, eq. 1); NaN without objects."""
    return _ratio(matches.iou_sum, matches.tp + 0.5 * (matches.fp + matches.fn))
