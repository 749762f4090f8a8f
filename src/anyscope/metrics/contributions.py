"""What each object contributes to the Adapted Rand error and to the variation of information, such that they add up.

Both scores count what is together in one partition and apart in the other, and every such disagreement belongs to one
object: to the reference object that was cut, or to the predicted object that was merged. With p_ij the pixels that
reference object i and predicted object j share, t_i and s_j the pixels of each on reference foreground, and T, S, B the
sums of t^2, s^2 and p^2:

* ARE = 1 - 2 B / (S + T) = [sum_i (t_i^2 - sum_j p_ij^2) + sum_j (s_j^2 - sum_i p_ij^2)] / (S + T);
* N VOI = sum_i sum_j p_ij ln(t_i / p_ij) + sum_j sum_i p_ij ln(s_j / p_ij).

Where pixels predicted 0 are one segment, the merging of that segment is shared out to the reference objects whose
pixels it took: what they lost is ``unpredicted``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from anyscope.metrics.contingency import Contingency, Ids
from anyscope.metrics.overlap import ratio
from anyscope.metrics.partition import PredictedZero, partition_sums

Amounts = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contributions:
    """Shares of a score by object, before they are divided by ``scale``.

    Amounts and scales of several images can be added: the sum of all amounts over the sum of all scales is the pooled
    score.

    Args:
        reference_ids: (n,) increasing, without 0.
        splitting: (n,) what the cutting of each reference object adds, at least 0.
        unpredicted: (n,) what the pixels add that each reference object shares with the segment 0; 0 where pixels that
            are predicted 0 are no segment.
        prediction_ids: (m,) increasing, without 0: the objects that have pixels on reference foreground.
        merging: (m,) what each predicted object adds by joining reference objects, at least 0.
        scale: The score is the sum of all amounts divided by it.
    """

    reference_ids: Ids
    splitting: Amounts
    unpredicted: Amounts
    prediction_ids: Ids
    merging: Amounts
    scale: float

    @property
    def score(self) -> float:
        """The score itself; NaN where the scale is 0."""
        return ratio(float(self.splitting.sum() + self.unpredicted.sum() + self.merging.sum()), self.scale)


def rand_contributions(
    table: Contingency, predicted_zero: PredictedZero = "segment", self_pairs: bool = False
) -> Contributions:
    """The Adapted Rand error by object; amounts are ordered pairs of pixels.

    Args:
        table: Of one image. Pixels with reference label 0 are not scored.
        predicted_zero: What pixels predicted 0 are; see :mod:`anyscope.metrics.partition`.
        self_pairs: As for :func:`anyscope.metrics.partition.adapted_rand`; it only changes the scale.
    """
    sums = partition_sums(table, predicted_zero)
    scale = sums.squares_reference + sums.squares_prediction - (0 if self_pairs else 2 * sums.pixels)
    parts = _Parts.of(table, predicted_zero)
    whole, shared = parts.reference_sizes, parts.counts
    # A pixel alone is together with itself; in the SNEMI3D script it adds its share of all pixels instead of 1.
    alone = parts.alone / table.total if predicted_zero == "near-singletons" and table.total else parts.alone
    splitting = whole**2 - _sums(parts.rows, shared**2, whole.size) - alone
    joined = shared * (parts.prediction_sizes[parts.cols] - shared)
    return parts.contributions(splitting, joined, scale)


def information_contributions(
    table: Contingency, predicted_zero: PredictedZero = "segment", base: float = 2
) -> Contributions:
    """The variation of information (split plus merge) by object; amounts are pixels times units of the logarithm.

    Args:
        table: Of one image. Pixels with reference label 0 are not scored.
        predicted_zero: What pixels predicted 0 are; ``near-singletons`` are singletons here.
        base: Of the logarithm; 2 gives bits.
    """
    parts = _Parts.of(table, predicted_zero)
    whole, shared = parts.reference_sizes, parts.counts
    pieces = shared * np.log(whole[parts.rows] / shared)
    splitting = _sums(parts.rows, pieces, whole.size) + parts.alone * np.log(whole)
    joined = shared * np.log(parts.prediction_sizes[parts.cols] / shared)
    return parts.contributions(splitting / log(base), joined / log(base), float(whole.sum()))


@dataclass(frozen=True, eq=False)
class _Parts:
    """The scored pixels as floating-point numbers, segments that are single pixels apart."""

    reference_ids: Ids
    reference_sizes: Amounts
    prediction_ids: Ids
    prediction_sizes: Amounts
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    counts: Amounts
    alone: Amounts

    @classmethod
    def of(cls, table: Contingency, predicted_zero: PredictedZero) -> _Parts:
        scored = table.without_reference([0])
        kept = np.ones(scored.rows.size, bool)
        if predicted_zero != "segment":
            kept = scored.prediction_ids[scored.cols] != 0
        counts = scored.counts.astype(np.float64)
        alone = _sums(scored.rows[~kept], counts[~kept], scored.reference_ids.size)
        return cls(
            scored.reference_ids,
            scored.reference_sizes.astype(np.float64),
            scored.prediction_ids,
            scored.prediction_sizes.astype(np.float64),
            scored.rows[kept],
            scored.cols[kept],
            counts[kept],
            alone,
        )

    def contributions(self, splitting: Amounts, joined: Amounts, scale: float) -> Contributions:
        """From what cutting adds by reference object, and what joining adds by pair."""
        zero = self.prediction_ids[self.cols] == 0
        unpredicted = _sums(self.rows[zero], joined[zero], self.reference_ids.size)
        merging = _sums(self.cols[~zero], joined[~zero], self.prediction_ids.size)
        objects = self.prediction_ids != 0
        # Rounding must not turn the 0 of a whole object into -1e-17.
        splitting = np.maximum(splitting, 0.0)
        return Contributions(
            self.reference_ids, splitting, unpredicted, self.prediction_ids[objects], merging[objects], scale
        )


def _sums(places: NDArray[np.int64], amounts: Amounts, size: int) -> Amounts:
    return np.bincount(places, amounts, size).astype(np.float64)
