"""Overlap of masks and classes: IoU, Dice, precision and recall from counted pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan

import numpy as np

from anyscope.metrics.contingency import Contingency


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, or NaN where it is undefined because there is nothing to divide by."""
    return float(numerator) / float(denominator) if denominator else nan


@dataclass(frozen=True)
class Overlap:
    """Pixels of one class: in both label images, only predicted, only in the reference, in neither.

    >>> Overlap(tp=2, fp=1, fn=1, tn=6).iou
    0.5
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index); NaN where the class is in neither label image."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """Dice coefficient, the same as F1; NaN where the class is in neither label image."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the predicted pixels that are right; NaN where none is predicted."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the reference pixels that are found; NaN where the reference has none."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of all pixels that are right; high for small objects whatever is predicted."""
        return ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def complement(self) -> Overlap:
        """The overlap of everything that is not of this class."""
        return Overlap(self.tn, self.fn, self.fp, self.tp)


def foreground_overlap(table: Contingency) -> Overlap:
    """Overlap of the masks "label is not 0"."""
    reference = table.reference_ids[table.rows] != 0
    prediction = table.prediction_ids[table.cols] != 0
    tp = int(table.counts[reference & prediction].sum())
    fp = int(table.counts[~reference & prediction].sum())
    fn = int(table.counts[reference & ~prediction].sum())
    return Overlap(tp, fp, fn, table.total - tp - fp - fn)


def class_overlaps(table: Contingency) -> dict[int, Overlap]:
    """Overlap of every label that occurs in either label image, label 0 included, each against all others."""
    same = table.reference_ids[table.rows] == table.prediction_ids[table.cols]
    reference = dict(zip(table.reference_ids.tolist(), table.reference_sizes.tolist(), strict=True))
    prediction = dict(zip(table.prediction_ids.tolist(), table.prediction_sizes.tolist(), strict=True))
    both = dict(zip(table.reference_ids[table.rows[same]].tolist(), table.counts[same].tolist(), strict=True))
    overlaps = {}
    for label in sorted(reference.keys() | prediction.keys()):
        tp = both.get(label, 0)
        fp, fn = prediction.get(label, 0) - tp, reference.get(label, 0) - tp
        overlaps[label] = Overlap(tp, fp, fn, table.total - tp - fp - fn)
    return overlaps


def mean_iou(overlaps: Iterable[Overlap]) -> float:
    """Mean IoU over the classes that occur in reference or prediction; NaN without any."""
    ious = [overlap.iou for overlap in overlaps if overlap.tp + overlap.fp + overlap.fn]
    return float(np.mean(ious)) if ious else nan
