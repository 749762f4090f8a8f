"""Protocols for masks and classes."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import ClassVar

import numpy as np

from anyscope.contracts import Task
from anyscope.errors import BadInput
from anyscope.metrics.contingency import Contingency, contingency
from anyscope.metrics.overlap import Overlap, class_overlaps, foreground_overlap, mean_iou
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Numbers, Volumes, is_empty


def overlap_counts(table: Contingency) -> Numbers:
    """Foreground pixels tp, fp, fn, tn as an array that can be pooled."""
    overlap = foreground_overlap(table)
    return np.array([overlap.tp, overlap.fp, overlap.fn, overlap.tn], np.int64)


def _pixels(counts: Counts) -> Overlap:
    tp, fp, fn, tn = counts.sums["pixels"].tolist()
    return Overlap(tp, fp, fn, tn)


@dataclass(frozen=True)
class Semantic(EvaluationProtocol):
    """Masks: every label that is not 0 is foreground, in reference and prediction.

    Traps: mean IoU includes the background, which is large and easy, so it is far above the foreground IoU. Pooled
    scores weigh every pixel the same, the mean over images every image the same: they differ where objects are rare.
    """

    name: ClassVar[str] = "semantic"
    task: ClassVar[Task] = "semantic"
    summary: ClassVar[str] = "foreground IoU, Dice, precision, recall; mean IoU of foreground and background"
    source: ClassVar[str] = "Jaccard (1912), Dice (1945); Taha and Hanbury, BMC Medical Imaging 15:29 (2015)"
    headline: ClassVar[str] = "foreground_iou"

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "foreground": "every label that is not 0",
            "ignored": self._ignored(),
            "dimensions": "all voxels of an image together, so 2D and 3D are the same",
            "threshold": "none: labels are compared, not probabilities",
            "predicted 0": "background",
            "mean_iou": "mean over foreground and background",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        return Counts({"pixels": overlap_counts(table)}, empty=int(is_empty(table)))

    def _scores(self, counts: Counts) -> dict[str, float]:
        overlap = _pixels(counts)
        return {
            "foreground_iou": overlap.iou,
            "dice": overlap.dice,
            "precision": overlap.precision,
            "recall": overlap.recall,
            "mean_iou": mean_iou([overlap, overlap.complement]),
            "pixel_accuracy": overlap.accuracy,
        }


@dataclass(frozen=True)
class Multiclass(EvaluationProtocol):
    """Classes: labels are class numbers, 0 is the background class.

    Traps: the mean is taken over the classes that occur in reference or prediction, as torchmetrics and scikit-learn
    do; a class that is only predicted counts with IoU 0, one that occurs nowhere does not count.

    Args:
        classes: Number of classes including the background; larger labels are refused. None: any number.
    """

    name: ClassVar[str] = "multiclass"
    task: ClassVar[Task] = "semantic"
    summary: ClassVar[str] = "IoU of each class, their mean with and without the background"
    source: ClassVar[str] = "Everingham et al., IJCV 88:303 (2010), segmentation task"
    headline: ClassVar[str] = "mean_iou"

    classes: int | None = None

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "classes": "labels are class numbers, 0 is background"
            + ("" if self.classes is None else f", the highest is {self.classes - 1}"),
            "ignored": self._ignored(),
            "dimensions": "all voxels of an image together, so 2D and 3D are the same",
            "threshold": "none: labels are compared, not probabilities",
            "predicted 0": "background class",
            "mean_iou": "mean over the classes in reference or prediction, background included",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        for name, ids in (("reference labels", table.reference_ids), ("predicted labels", table.prediction_ids)):
            if self.classes is not None and ids.size and int(ids[-1]) >= self.classes:
                raise BadInput(name, f"class {int(ids[-1])}", f"classes 0 to {self.classes - 1}")
        pairs = [table.reference_ids[table.rows], table.prediction_ids[table.cols], table.counts]
        return Counts({}, {"pairs": np.stack([each.astype(np.int64) for each in pairs], 1)}, empty=int(is_empty(table)))

    def _scores(self, counts: Counts) -> dict[str, float]:
        reference, prediction, number = counts.rows["pairs"].astype(np.int64).T
        table = Contingency.of_pairs(reference.astype(np.uint64), prediction.astype(np.uint64), number)
        overlaps = class_overlaps(table)
        foreground = [overlap for label, overlap in overlaps.items() if label]
        scores = {
            "mean_iou": mean_iou(overlaps.values()),
            "mean_iou_without_background": mean_iou(foreground),
            "mean_dice": float(np.mean([each.dice for each in overlaps.values()])) if overlaps else nan,
            "pixel_accuracy": sum(each.tp for each in overlaps.values()) / table.total if overlaps else nan,
        }
        return scores | {f"iou_class_{label}": overlap.iou for label, overlap in overlaps.items()}


@dataclass(frozen=True)
class Lucchi(Semantic):
    """Mitochondria of the EPFL hippocampus stack, as scored by Lucchi et al.: Jaccard index of the foreground.

    Traps: the score is pooled over the whole test stack (165 x 768 x 1024), not a mean over slices, which gives more
    weight to slices with few mitochondria. Papers that report "mIoU" include the background; those that report
    "Jaccard" mostly do not. Lucchi++ has other, more consistent labels: the two are not comparable.
    """

    name: ClassVar[str] = "lucchi"
    summary: ClassVar[str] = "foreground Jaccard index of the whole stack"
    source: ClassVar[str] = "Lucchi et al., IEEE Transactions on Medical Imaging 31:474 (2012)"

    def _scores(self, counts: Counts) -> dict[str, float]:
        overlap = _pixels(counts)
        return {"foreground_iou": overlap.iou, "precision": overlap.precision, "recall": overlap.recall}

    @property
    def conventions(self) -> dict[str, str]:
        kept = {name: text for name, text in super().conventions.items() if name != "mean_iou"}
        return kept | {"pooling": "the headline is the pooled score of the whole stack"}
