"""Protocols that rank objects by a score before they match them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Task
from anyscope.errors import BadInput
from anyscope.metrics.contingency import AnyLabels, contingency
from anyscope.metrics.matching import THRESHOLDS, object_pairs
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Volumes
from anyscope.metrics.protocols.objects import match_accuracies, match_counts, stored_matches
from anyscope.metrics.ranked import MITOEM_RANGES, average_precision, detections, reference_counts


@dataclass(frozen=True)
class MitoEm(EvaluationProtocol):
    """Mitochondria of the MitoEM volumes: average precision in 3D, objects ranked by size or mean probability.

    Traps: ranked by size, small false objects come last and cost little, so AP-75 can be high with many of them; the
    challenge now ranks methods by TP/(TP+FP+FN) at IoU .75, which is ``accuracy_75`` here. AP is not that ratio. Size
    ranges are in voxels, so they mean other objects at other voxel sizes. Objects cut by a crop change both sides.
    """

    name: ClassVar[str] = "mitoem"
    task: ClassVar[Task] = "instances"
    in_slices: ClassVar[str] = "mitoem_2d"
    summary: ClassVar[str] = "COCO-style AP at IoU .50:.05:.95, at .50 and .75, by size; TP/(TP+FP+FN)"
    source: ClassVar[str] = "Wei et al., MICCAI 2020, and mAP_3Dvolume; Lin et al., Microsoft COCO, ECCV 2014"
    headline: ClassVar[str] = "ap_75"

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "objects": "labels that are not 0",
            "ignored": self._ignored() + "; predicted objects keep only their pixels elsewhere",
            "dimensions": self._dimensions(),
            "score": "mean foreground probability of the object where a probability is given, else its size in voxels",
            "threshold": "AP: IoU of at least the threshold, interpolated at 101 recalls; accuracy: above it",
            "size ranges": "small up to 5000 voxels, medium up to 15000, large above",
            "predicted 0": "background",
        }

    def conventions_of(self, counts: Counts) -> dict[str, str]:
        by_size = "size of the object in voxels, as there is no probability"
        ranked = counts.sums["ranked_by_probability"] > 0
        return self.conventions | {"score": "mean foreground probability of the object" if ranked else by_size}

    def _dimensions(self) -> str:
        return "3D: an object is what carries one id in the whole image"

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        pairs = object_pairs(table)
        scores = pairs.prediction_sizes.astype(np.float64)
        if volumes.probability is not None:
            ids = table.prediction_ids[table.prediction_ids != 0]
            scores = mean_probabilities(volumes.prediction, volumes.probability, ids)
        matched = match_counts(table)
        sums = {
            "references": reference_counts(pairs),
            "ranked_by_probability": np.array(int(volumes.probability is not None)),
        }
        return Counts(matched.sums | sums, {"detections": detections(pairs, scores)}, empty=matched.empty)

    def _scores(self, counts: Counts) -> dict[str, float]:
        if 0 < counts.sums["ranked_by_probability"] < counts.images:
            found = f"for {int(counts.sums['ranked_by_probability'])} of {counts.images} images"
            raise BadInput("probability", f"given {found}", "one for each image, or for none, to rank objects alike")
        precision = average_precision(counts.rows["detections"], counts.sums["references"], THRESHOLDS)
        at_75 = THRESHOLDS.index(0.75)
        named = {"ap": float(precision[:, 0].mean()), "ap_50": float(precision[0, 0])}
        named["ap_75"] = float(precision[at_75, 0])
        by_size = dict(zip(MITOEM_RANGES, precision[at_75].tolist(), strict=True))
        named |= {f"ap_75_{name}": value for name, value in by_size.items() if name != "all"}
        return named | match_accuracies(stored_matches(counts))


@dataclass(frozen=True)
class MitoEm2d(MitoEm):
    """The same slice by slice, for data that is labelled or predicted in 2D.

    Traps: scores in 2D are not those of the challenge; the size ranges, in voxels, hardly ever leave "small".
    """

    name: ClassVar[str] = "mitoem_2d"
    by_slice: ClassVar[bool] = True
    in_slices: ClassVar[str] = ""
    summary: ClassVar[str] = "as mitoem, every slice for itself"

    def _dimensions(self) -> str:
        return "2D: ids count within a slice, the objects of all slices are ranked together"

    def _measure(self, volumes: Volumes) -> Counts:
        measure = super()._measure
        pooled = self.pool_slices([measure(plane) for plane in volumes.slices()])
        return replace(pooled, sums=pooled.sums | {"ranked_by_probability": np.array(volumes.probability is not None)})


def mean_probabilities(
    labels: AnyLabels, probability: NDArray[np.floating], ids: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Mean probability over the pixels of each object, slice by slice so that little memory is needed.

    Args:
        labels: (z, y, x).
        probability: The same shape.
        ids: (m,) the objects, increasing.
    """
    sums, sizes = np.zeros(ids.size + 1), np.zeros(ids.size + 1)
    for plane, weights in zip(labels, probability, strict=True):
        found = plane.astype(np.uint64).ravel()
        place = np.searchsorted(ids, found)
        place[np.append(ids, 0)[place] != found] = ids.size
        sums += np.bincount(place, weights.ravel(), ids.size + 1)
        sizes += np.bincount(place, minlength=ids.size + 1)
    return sums[:-1] / sizes[:-1]
