"""Protocols that compare partitions: neurites, which touch everywhere."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Task
from anyscope.errors import BadInput
from anyscope.metrics.contingency import AnyLabels, contingency
from anyscope.metrics.partition import (
    PartitionSums,
    adapted_rand,
    cremi_score,
    partition_sums,
    v_info,
    v_rand,
    variation_of_information,
)
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Numbers, Volumes, is_empty
from anyscope.metrics.thinning import thin_borders

SNEMI3D_SHAPE = (100, 1024, 1024)
SNEMI3D_CROP = (slice(25, 100), slice(97, 928), slice(97, 928))
CREMI_UNLABELLED = 2**64 - 1


def sums_array(sums: PartitionSums) -> Numbers:
    """As an array that can be pooled."""
    return np.array(astuple(sums), np.float64)


def stored_sums(array: Numbers) -> PartitionSums:
    """The inverse of :func:`sums_array`."""
    return PartitionSums(*array.tolist())


@dataclass(frozen=True)
class Snemi3d(EvaluationProtocol):
    """Neurites of the SNEMI3D stack: Adapted Rand error in 3D.

    Traps: only the middle of the official stack is scored; a smaller stack is scored whole, which is not comparable.
    Pixels predicted 0 inside neurites hardly count at all, while scikit-image takes them as one segment: the same
    labels with thin boundaries set to 0 score .1 here and .65 there, so fill boundaries before scoring. Slices that
    are perfect but not linked in z score about .98. Precision and recall are those of the script; scikit-image calls
    them the other way round.
    """

    name: ClassVar[str] = "snemi3d"
    task: ClassVar[Task] = "instances"
    in_slices: ClassVar[str] = "neurites_2d"
    summary: ClassVar[str] = "Adapted Rand error in 3D, on the official crop"
    source: ClassVar[str] = "SNEMI3D challenge (2013); Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015)"
    headline: ClassVar[str] = "adapted_rand_error"
    steady: ClassVar[bool] = False
    errors: ClassVar[frozenset[str]] = frozenset({"adapted_rand_error", "adapted_rand_error_scikit_image"})

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "ignored": self._ignored("reference 0"),
            "dimensions": "3D",
            "crop": "z 25:100, y and x 97:928 where the shape is 100 x 1024 x 1024, otherwise none",
            "threshold": "none",
            "predicted 0": "near-singletons, as in the challenge's script: their share of all pixels is added to the "
            "sums of squares; adapted_rand_error_scikit_image takes them as one segment",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        reference, prediction = volumes.reference, volumes.prediction
        official = reference.shape == SNEMI3D_SHAPE
        if official:
            reference, prediction = reference[SNEMI3D_CROP], prediction[SNEMI3D_CROP]
        table = contingency(reference, prediction, self.ignore)
        sums = {
            "script": sums_array(partition_sums(table, "near-singletons")),
            "segment": sums_array(partition_sums(table, "segment")),
            "cropped": np.array(int(official)),
        }
        return Counts(sums, empty=int(is_empty(table)))

    def _scores(self, counts: Counts) -> dict[str, float]:
        script = adapted_rand(stored_sums(counts.sums["script"]))
        scikit_image = adapted_rand(stored_sums(counts.sums["segment"]), self_pairs=False)
        return {
            "adapted_rand_error": script.error,
            "adapted_rand_precision": script.precision,
            "adapted_rand_recall": script.recall,
            "adapted_rand_error_scikit_image": scikit_image.error,
            "images_cropped": float(counts.sums["cropped"]),
        }


@dataclass(frozen=True)
class Cremi(EvaluationProtocol):
    """Neurons of the CREMI volumes: variation of information, Adapted Rand error and their geometric mean.

    Traps: the logarithm has base 2; scikit-image counts in the same unit but ignores nothing by default. Predicted 0 is
    one segment for the variation of information and next to nothing for Adapted Rand, as in the challenge's script, so
    predicted boundaries raise the one and lower the other. The challenge can also leave out a margin along the
    reference's borders, which is not done here.
    """

    name: ClassVar[str] = "cremi"
    task: ClassVar[Task] = "instances"
    in_slices: ClassVar[str] = "neurites_2d"
    summary: ClassVar[str] = "VOI split and merge, Adapted Rand error, CREMI score = sqrt(VOI x Adapted Rand), in 3D"
    source: ClassVar[str] = "CREMI challenge (2016), evaluation script; Meila, J. Multivariate Analysis 98:873 (2007)"
    headline: ClassVar[str] = "cremi_score"
    steady: ClassVar[bool] = False
    errors: ClassVar[frozenset[str]] = frozenset({"cremi_score", "voi", "voi_split", "voi_merge", "adapted_rand_error"})

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "ignored": self._ignored(f"reference 0 and {CREMI_UNLABELLED} (unlabelled)"),
            "dimensions": "3D",
            "log base": "2",
            "threshold": "none; no margin along borders is left out",
            "predicted 0": "one segment for VOI; near-singletons for Adapted Rand, as in the challenge's script",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, (CREMI_UNLABELLED, *self.ignore))
        sums = {
            "segment": sums_array(partition_sums(table, "segment")),
            "script": sums_array(partition_sums(table, "near-singletons")),
        }
        return Counts(sums, empty=int(is_empty(table)))

    def _scores(self, counts: Counts) -> dict[str, float]:
        information = variation_of_information(stored_sums(counts.sums["segment"]), base=2)
        rand = adapted_rand(stored_sums(counts.sums["script"]))
        return {
            "cremi_score": cremi_score(rand, information),
            "voi": information.total,
            "voi_split": information.split,
            "voi_merge": information.merge,
            "adapted_rand_error": rand.error,
        }


@dataclass(frozen=True)
class Isbi2012(EvaluationProtocol):
    """Neurites in single EM sections: foreground-restricted V_Rand and V_Info after the borders were thinned.

    Traps: higher is better, unlike the errors of the older ISBI 2012 leader board. The challenge thresholds a boundary
    probability at many values and keeps the best; here the prediction is scored as it is. A mask (labels 0 and 1 only)
    is split into its components first, so a prediction of one object in all is too. One missing boundary
    pixel merges two neurites: the score can jump.
    """

    name: ClassVar[str] = "isbi2012"
    by_slice: ClassVar[bool] = True
    splits_masks: ClassVar[bool] = True
    task: ClassVar[Task] = "instances"
    summary: ClassVar[str] = "V_Rand and V_Info after border thinning, slice by slice"
    source: ClassVar[str] = "Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015)"
    headline: ClassVar[str] = "v_rand"
    steady: ClassVar[bool] = False

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "ignored": self._ignored("reference 0 after thinning"),
            "dimensions": "2D: ids count within a slice, the sums of slices are added",
            "thinning": "labels of both grow into the borders until these are one pixel wide",
            "masks": "where no label is above 1, the face-connected components are the objects",
            "threshold": "none",
            "predicted 0": "singletons: each pixel is a segment of its own",
            "alpha": "0.5: split and merge weigh the same",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        counts = []
        reference = volumes.reference
        known = np.where(np.isin(reference, list(self.ignore)), 0, reference) if self.ignore else reference
        split_reference, split_prediction = is_mask(known), is_mask(volumes.prediction)
        for plane in volumes.slices():
            scored = ~np.isin(plane.reference, list(self.ignore))
            if plane.valid is not None:
                scored &= np.asarray(plane.valid, bool)
            objects = _thinned(plane.reference, scored, split_reference)
            table = contingency(objects, _thinned(plane.prediction, scored, split_prediction), valid=scored)
            sums = {"partition": sums_array(partition_sums(table, "singletons"))}
            counts.append(Counts(sums, empty=int(is_empty(table))))
        return self.pool_slices(counts)

    def _scores(self, counts: Counts) -> dict[str, float]:
        sums = stored_sums(counts.sums["partition"])
        return {"v_rand": v_rand(sums), "v_info": v_info(sums)}


def _thinned(labels: AnyLabels, scored: NDArray[np.bool_], split: bool) -> AnyLabels:
    """Objects of a slice grown into the borders, but not into what is not scored."""
    if scored.all():
        return thin_borders(components(labels) if split else labels)
    labels = np.where(scored, labels, 0)
    numbers, dense = np.unique(components(labels) if split else labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + int(numbers[0] != 0)  # 0 stays 0
    return thin_borders(np.where(scored, dense, dense.max() + 1))


def is_mask(labels: AnyLabels) -> bool:
    """Whether no label is above 1.

    Raises:
        BadInput: A label is negative.
    """
    if labels.min() < 0:
        raise BadInput("labels", "negative values", "integers of at least 0")
    return bool(labels.max() <= 1)


def components(mask: AnyLabels) -> AnyLabels:
    """The face-connected components of a mask (1, y, x) as labels."""
    import cc3d

    found: AnyLabels = cc3d.connected_components(np.ascontiguousarray(mask[0], np.uint8), connectivity=4)
    return found[np.newaxis]
