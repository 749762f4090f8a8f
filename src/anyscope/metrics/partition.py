"""Agreement of partitions: Adapted Rand, variation of information, V_Rand and V_Info, and the CREMI score.

All of them are foreground-restricted: pixels whose reference label is 0 are not scored. What they make of pixels that
are **predicted** 0 there changes scores far more than methods differ, so it is always named:

* ``segment``: they are one segment like any other, as in scikit-image. Thin predicted boundaries then form a segment
  that runs through every object.
* ``singletons``: each of them is a segment of its own, as in the ISBI 2012 challenge (Arganda-Carreras et al., 2015).
* ``near-singletons``: as in the Python port of the SNEMI3D script, which adds their share of all pixels instead of
  their number to the sums of squares: next to nothing.

Sums of squares and of x log x are kept, not scores, so that images can be pooled: their labels count as distinct.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import e, log, nan, sqrt
from typing import Literal, get_args

import numpy as np

from anyscope.metrics.contingency import Contingency
from anyscope.metrics.overlap import ratio

PredictedZero = Literal["segment", "singletons", "near-singletons"]


@dataclass(frozen=True)
class PartitionSums:
    """Sums over the scored pixels from which all scores of this module follow. Logarithms are natural.

    Args:
        pixels: Number of scored pixels N.
        squares_both: Sum of p**2 over the pairs of labels, p their number of pixels.
        squares_reference: Sum of t**2 over the reference labels.
        squares_prediction: Sum of s**2 over the predicted labels.
        logs_both: Sum of p ln p.
        logs_reference: Sum of t ln t.
        logs_prediction: Sum of s ln s.
        logs_pixels: N ln N (a sum of its own, because pooled images stay distinct).
    """

    pixels: float
    squares_both: float
    squares_reference: float
    squares_prediction: float
    logs_both: float
    logs_reference: float
    logs_prediction: float
    logs_pixels: float

    def __add__(self, other: PartitionSums) -> PartitionSums:
        return PartitionSums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def partition_sums(table: Contingency, predicted_zero: PredictedZero, reference_zero: bool = False) -> PartitionSums:
    """The sums of one image.

    Args:
        table: Its contingency.
        predicted_zero: What pixels predicted 0 are; see the top of this module.
        reference_zero: Score reference label 0 like any other label, instead of leaving its pixels out.
    """
    if predicted_zero not in get_args(PredictedZero):
        raise ValueError(f"predicted_zero is {predicted_zero!r}, not one of {get_args(PredictedZero)}")
    all_pixels = table.total
    table = table if reference_zero else table.without_reference([0])
    kept = table if predicted_zero == "segment" else table.without_prediction([0])
    both, prediction = kept.counts.astype(np.float64), kept.prediction_sizes.astype(np.float64)
    reference = table.reference_sizes.astype(np.float64)
    alone = float(table.total - kept.total)
    if predicted_zero == "near-singletons" and all_pixels:
        alone /= all_pixels
    pixels = float(table.total)
    return PartitionSums(
        pixels=pixels,
        squares_both=float(both @ both) + alone,
        squares_reference=float(reference @ reference),
        squares_prediction=float(prediction @ prediction) + alone,
        logs_both=float(both @ np.log(both)),  # a singleton adds 1 ln 1 = 0
        logs_reference=float(reference @ np.log(reference)),
        logs_prediction=float(prediction @ np.log(prediction)),
        logs_pixels=pixels * log(pixels) if pixels else 0.0,
    )


@dataclass(frozen=True)
class RandScores:
    """Adapted Rand error with the precision and recall of pairs of pixels, in the sense of the SNEMI3D script.

    Args:
        error: 1 - 2PR / (P + R), 0 (equal partitions) to 1.
        precision: P, falls when objects are merged. scikit-image returns the two the other way round.
        recall: R, falls when objects are split.
    """

    error: float
    precision: float
    recall: float


def adapted_rand(sums: PartitionSums, self_pairs: bool = True) -> RandScores:
    """Adapted Rand error; NaN without scored pixels.

    Args:
        sums: Of one image or several.
        self_pairs: Count the pair of each pixel with itself, as the challenges' scripts do; scikit-image does not.

    Source: SNEMI3D challenge; Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015).
    """
    apart = 0.0 if self_pairs else sums.pixels
    both, reference, prediction = (
        squares - apart for squares in (sums.squares_both, sums.squares_reference, sums.squares_prediction)
    )
    return RandScores(1 - ratio(2 * both, reference + prediction), ratio(both, prediction), ratio(both, reference))


@dataclass(frozen=True)
class InformationScores:
    """Variation of information: ``split`` = H(prediction | reference), ``merge`` = H(reference | prediction)."""

    split: float
    merge: float

    @property
    def total(self) -> float:
        """The variation of information itself."""
        return self.split + self.merge


def variation_of_information(sums: PartitionSums, base: float = 2) -> InformationScores:
    """Variation of information in units of the logarithm's base (2: bits); NaN without scored pixels.

    Source: Meila, Journal of Multivariate Analysis 98:873 (2007).
    """
    scale = sums.pixels * log(base)
    split = ratio(sums.logs_reference - sums.logs_both, scale)
    merge = ratio(sums.logs_prediction - sums.logs_both, scale)
    # Rounding must not turn the 0 of equal partitions into -1e-17.
    return InformationScores(max(split, 0.0) if split == split else nan, max(merge, 0.0) if merge == merge else nan)


def cremi_score(rand: RandScores, information: InformationScores) -> float:
    """Geometric mean of the variation of information and the Adapted Rand error, the score of the CREMI challenge."""
    product = information.total * max(rand.error, 0.0)
    return sqrt(product) if product == product else nan


def v_rand(sums: PartitionSums, alpha: float = 0.5) -> float:
    """V_Rand, the weighted F score of pairs of pixels, 0 to 1 (equal partitions); NaN without scored pixels.

    Args:
        sums: Of one image or several.
        alpha: Weight of the split score (0..1); .5 as in the challenge.

    Source: Arganda-Carreras et al. (2015), eq. 4, where t is the reference and s the prediction.
    """
    return ratio(sums.squares_both, alpha * sums.squares_prediction + (1 - alpha) * sums.squares_reference)


def v_info(sums: PartitionSums, alpha: float = 0.5) -> float:
    """V_Info, mutual information over the weighted mean of the entropies; NaN where both partitions have one segment.

    Source: Arganda-Carreras et al. (2015), eq. 6.
    """
    prediction = sums.logs_pixels - sums.logs_prediction
    reference = sums.logs_pixels - sums.logs_reference
    mutual = prediction + reference - (sums.logs_pixels - sums.logs_both)
    weighted = (1 - alpha) * prediction + alpha * reference
    negligible = sums.logs_pixels * np.finfo(float).eps * e
    return ratio(mutual, weighted) if weighted > negligible else nan
