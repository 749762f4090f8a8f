"""Protocols for neurites of any dataset, in the volume and slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anyscope.contracts import Task
from anyscope.metrics.contingency import contingency
from anyscope.metrics.partition import adapted_rand, partition_sums, variation_of_information
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Volumes, is_empty
from anyscope.metrics.protocols.partitions import stored_sums, sums_array


@dataclass(frozen=True)
class Neurites(EvaluationProtocol):
    """Adapted Rand error in the conventions of SNEMI3D and scikit-image, and variation of information, without a crop.

    Traps: fill boundaries before scoring (decoders do with ``grow``): pixels predicted 0 inside neurites hardly count
    in the one convention and are one segment through all neurites in the other; ``predicted_zero`` says how many there
    are. Slices that are perfect but not linked score about .98 here and 0 in ``neurites_2d``.
    """

    name: ClassVar[str] = "neurites"
    task: ClassVar[Task] = "instances"
    in_slices: ClassVar[str] = "neurites_2d"
    summary: ClassVar[str] = "Adapted Rand error in two conventions, VOI split and merge, in 3D"
    source: ClassVar[str] = "Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015); Meila (2007)"
    headline: ClassVar[str] = "adapted_rand_error"
    steady: ClassVar[bool] = False
    errors: ClassVar[frozenset[str]] = frozenset({
        "adapted_rand_error", "adapted_rand_error_scikit_image", "voi", "voi_split", "voi_merge", "predicted_zero",
    })  # fmt: skip

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "ignored": self._ignored("reference 0"),
            "dimensions": self._dimensions(),
            "log base": "2",
            "threshold": "none",
            "predicted 0": "near-singletons for adapted_rand_error, as in SNEMI3D's script; one segment for VOI and "
            "adapted_rand_error_scikit_image; predicted_zero is their share of the scored pixels",
        }

    def _dimensions(self) -> str:
        return "3D: an object is what carries one id in the whole image; 2D where z = 1"

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        scored = table.without_reference([0])
        sums = {
            "script": sums_array(partition_sums(table, "near-singletons")),
            "segment": sums_array(partition_sums(table, "segment")),
            "unassigned": np.array(scored.total - scored.without_prediction([0]).total),
        }
        return Counts(sums, empty=int(is_empty(table)))

    def _scores(self, counts: Counts) -> dict[str, float]:
        script, segment = (stored_sums(counts.sums[name]) for name in ("script", "segment"))
        rand, information = adapted_rand(script), variation_of_information(segment, base=2)
        unassigned = float(counts.sums["unassigned"])
        return {
            "adapted_rand_error": rand.error,
            "adapted_rand_precision": rand.precision,
            "adapted_rand_recall": rand.recall,
            "adapted_rand_error_scikit_image": adapted_rand(segment, self_pairs=False).error,
            "voi": information.total,
            "voi_split": information.split,
            "voi_merge": information.merge,
            "predicted_zero": unassigned / segment.pixels if segment.pixels else float("nan"),
        }


@dataclass(frozen=True)
class Neurites2d(Neurites):
    """The same slice by slice: ids count within a slice, for data that is labelled or predicted in 2D.

    Traps: says nothing of whether slices were linked.
    """

    name: ClassVar[str] = "neurites_2d"
    by_slice: ClassVar[bool] = True
    in_slices: ClassVar[str] = ""
    summary: ClassVar[str] = "as neurites, every slice for itself"

    def _dimensions(self) -> str:
        return "2D: ids count within a slice, the sums of slices are added"

    def _measure(self, volumes: Volumes) -> Counts:
        measure = super()._measure
        return self.pool_slices([measure(plane) for plane in volumes.slices()])
