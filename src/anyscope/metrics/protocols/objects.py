"""Protocols that match objects one to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anyscope.contracts import Task
from anyscope.metrics.contingency import Contingency, contingency
from anyscope.metrics.matching import (
    THRESHOLDS,
    Matches,
    match,
    match_accuracy,
    object_pairs,
    panoptic_quality,
    recognition_quality,
    segmentation_quality,
)
from anyscope.metrics.overlap import Overlap, ratio
from anyscope.metrics.partition import adapted_rand, partition_sums, variation_of_information
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Volumes, is_empty
from anyscope.metrics.protocols.masks import overlap_counts
from anyscope.metrics.protocols.partitions import stored_sums, sums_array

_PERCENT = [f"{round(100 * threshold)}" for threshold in THRESHOLDS]


def match_counts(table: Contingency) -> Counts:
    """TP, FP, FN and the sum of IoU at each threshold."""
    matches = match(object_pairs(table))
    sums = {"tp": matches.tp, "fp": matches.fp, "fn": matches.fn, "iou_sum": matches.iou_sum}
    return Counts(sums, empty=int(is_empty(table)))


def stored_matches(counts: Counts) -> Matches:
    """The inverse of :func:`match_counts`."""
    return Matches(np.array(THRESHOLDS), *(counts.sums[name] for name in ("tp", "fp", "fn", "iou_sum")))


def match_accuracies(matches: Matches) -> dict[str, float]:
    """TP/(TP+FP+FN) at each threshold and their mean, by name."""
    values = match_accuracy(matches)
    named = {f"accuracy_{percent}": float(value) for percent, value in zip(_PERCENT, values, strict=True)}
    return named | {"accuracy_mean": float(values.mean())}


@dataclass(frozen=True)
class Instances(EvaluationProtocol):
    """Objects: matched by IoU, with panoptic quality, and compared as partitions.

    Traps: accuracy is TP/(TP+FP+FN), not the average precision of COCO. In 3D an object is matched as a whole: slices
    that are perfect but not linked score 0 here and 1 in ``instances_2d``. Adapted Rand and VOI look at reference
    foreground only and take predicted 0 there as one segment, so one missed object costs more the larger it is.
    """

    name: ClassVar[str] = "instances"
    task: ClassVar[Task] = "instances"
    in_slices: ClassVar[str] = "instances_2d"
    summary: ClassVar[str] = "TP/(TP+FP+FN) at IoU .50:.05:.95, PQ, F1, Adapted Rand, VOI, foreground IoU"
    source: ClassVar[str] = "Kirillov et al., CVPR 2019 (PQ); Arganda-Carreras et al. (2015); Meila (2007)"
    headline: ClassVar[str] = "accuracy_50"
    errors: ClassVar[frozenset[str]] = frozenset({"adapted_rand_error", "voi_split", "voi_merge"})

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "objects": "labels that are not 0",
            "ignored": self._ignored() + "; predicted objects keep only their pixels elsewhere",
            "dimensions": self._dimensions(),
            "threshold": "an object matches where its IoU is above the threshold; PQ, SQ and F1 at .5",
            "predicted 0": "background when matching; one segment for Adapted Rand and VOI, as in scikit-image",
            "reference 0": "background when matching; not scored by Adapted Rand and VOI",
            "log base": "2",
        }

    def _dimensions(self) -> str:
        return "3D: an object is what carries one id in the whole image; 2D where z = 1"

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        matched = match_counts(table)
        sums = {"pixels": overlap_counts(table), "partition": sums_array(partition_sums(table, "segment"))}
        return Counts(matched.sums | sums, empty=matched.empty)

    def _scores(self, counts: Counts) -> dict[str, float]:
        matches, sums = stored_matches(counts), stored_sums(counts.sums["partition"])
        information = variation_of_information(sums)
        tp, fp, fn = (int(each[0]) for each in (matches.tp, matches.fp, matches.fn))
        return match_accuracies(matches) | {
            "precision_50": ratio(tp, tp + fp),
            "recall_50": ratio(tp, tp + fn),
            "f1_50": float(recognition_quality(matches)[0]),
            "panoptic_quality": float(panoptic_quality(matches)[0]),
            "segmentation_quality": float(segmentation_quality(matches)[0]),
            "adapted_rand_error": adapted_rand(sums, self_pairs=False).error,
            "voi_split": information.split,
            "voi_merge": information.merge,
            "foreground_iou": Overlap(*counts.sums["pixels"].tolist()).iou,
            "reference_objects": float(tp + fn),
            "predicted_objects": float(tp + fp),
        }


@dataclass(frozen=True)
class Instances2d(Instances):
    """The same slice by slice: ids count within a slice, for data that is labelled in 2D.

    Traps: an object that crosses many slices counts once in each of them.
    """

    name: ClassVar[str] = "instances_2d"
    by_slice: ClassVar[bool] = True
    in_slices: ClassVar[str] = ""
    summary: ClassVar[str] = "as instances, every slice for itself"

    def _dimensions(self) -> str:
        return "2D: ids count within a slice, the counts of slices are added"

    def _measure(self, volumes: Volumes) -> Counts:
        measure = super()._measure
        return self.pool_slices([measure(plane) for plane in volumes.slices()])


@dataclass(frozen=True)
class Dsb2018(EvaluationProtocol):
    """Nuclei as scored by the 2018 Data Science Bowl: TP/(TP+FP+FN) at ten IoU thresholds and their mean.

    Traps: the challenge averages over images, so its score is ``mean`` of ``accuracy_mean`` here, not the pooled one.
    It calls the ratio precision, StarDist accuracy, Cellpose average precision. StarDist also matches at an IoU equal
    to the threshold, which differs for small objects (two of four pixels are .5).
    """

    name: ClassVar[str] = "dsb2018"
    by_slice: ClassVar[bool] = True
    task: ClassVar[Task] = "instances"
    summary: ClassVar[str] = "TP/(TP+FP+FN) at IoU .50:.05:.95 and their mean, in 2D"
    source: ClassVar[str] = "Caicedo et al., Nature Methods 16:1247 (2019)"
    headline: ClassVar[str] = "accuracy_mean"

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "objects": "labels that are not 0",
            "ignored": self._ignored(),
            "dimensions": "2D: ids count within a slice, the counts of slices are added",
            "threshold": "an object matches where its IoU is above the threshold",
            "predicted 0": "background",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        tables = (contingency(plane.reference, plane.prediction, self.ignore) for plane in volumes.slices())
        return self.pool_slices([match_counts(table) for table in tables])

    def _scores(self, counts: Counts) -> dict[str, float]:
        matches = stored_matches(counts)
        tp, fp, fn = (int(each[0]) for each in (matches.tp, matches.fp, matches.fn))
        return match_accuracies(matches) | {"precision_50": ratio(tp, tp + fp), "recall_50": ratio(tp, tp + fn)}
