"""Distances between the boundaries of two masks: boundary F1, Hausdorff distance, average surface distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.metrics.overlap import ratio

Mask = NDArray[np.bool_]
Histogram = NDArray[np.float64]
"""(k, 2): distances, increasing, and how many boundary pixels have each. Few distances occur on a grid."""

_ROUNDING = 1e-6
"""Distances are single precision: a tolerance of exactly two pixels must admit them."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from each boundary pixel of one mask to the nearest of the other, empty where either has none.

    Args:
        from_reference: Of the boundary of the reference to that of the prediction.
        from_prediction: The other way round.
        reference_pixels: Number of boundary pixels of the reference.
        prediction_pixels: Number of boundary pixels of the prediction.
    """

    from_reference: Histogram
    from_prediction: Histogram
    reference_pixels: int
    prediction_pixels: int


def boundary(mask: Mask) -> Mask:
    """Pixels of a mask with a neighbour across a face that is not in it. What lies beyond the image is unknown and
    makes no boundary.

    Args:
        mask: (z, y, x) or (y, x).

    >>> boundary(np.array([[False, True, True, True]])).astype(int)
    array([[0, 1, 0, 0]])
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        front, back = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        front[1:] &= back[:-1]
        front[:-1] &= back[1:]
    return mask & ~inner


def surface_distances(reference: Mask, prediction: Mask, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Distances between the boundaries of two masks, 2D or 3D.

    Args:
        reference: (z, y, x) or (y, x) bool; a single slice is taken as 2D.
        prediction: The same shape.
        spacing: Size of a pixel along each axis, which is the unit of the distances; by default 1.

    Raises:
        BadInput: Shapes differ, an array is not bool, or the spacing does not fit.
    """
    import edt

    if reference.dtype != np.bool_ or prediction.dtype != np.bool_ or reference.shape != prediction.shape:
        found = f"{prediction.dtype} of shape {prediction.shape} beside {reference.dtype} of shape {reference.shape}"
        raise BadInput("masks", found, "two bool arrays of one shape")
    sizes = [1.0] * reference.ndim if spacing is None else [float(size) for size in spacing]
    if len(sizes) != reference.ndim or not all(0 < size < np.inf for size in sizes):
        raise BadInput("spacing", f"{spacing}", f"{reference.ndim} positive numbers")
    if reference.ndim == 3 and reference.shape[0] == 1:
        reference, prediction, sizes = reference[0], prediction[0], sizes[1:]
    rims = boundary(reference), boundary(prediction)
    pixels = int(rims[0].sum()), int(rims[1].sum())
    nothing = np.zeros((0, 2))
    if not all(pixels):
        return SurfaceDistances(nothing, nothing, *pixels)
    histograms = []
    for own, other in (rims, rims[::-1]):
        distances = edt.edt(np.ascontiguousarray(~other), anisotropy=tuple(sizes))[own]
        histograms.append(np.stack(np.unique(distances.astype(np.float64), return_counts=True), axis=1))
    return SurfaceDistances(histograms[0], histograms[1], *pixels)


def within_tolerance(histogram: Histogram, tolerance: float) -> int:
    """Number of boundary pixels whose distance is at most ``tolerance``."""
    return int(histogram[histogram[:, 0] <= tolerance * (1 + _ROUNDING), 1].sum())


def boundary_f1(distances: SurfaceDistances, tolerance: float) -> float:
    """F1 of the boundary pixels that have one of the other mask within ``tolerance``; NaN without boundaries.

    Source: Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
    """
    precision = ratio(within_tolerance(distances.from_prediction, tolerance), distances.prediction_pixels)
    recall = ratio(within_tolerance(distances.from_reference, tolerance), distances.reference_pixels)
    return harmonic_mean(precision, recall)


def harmonic_mean(precision: float, recall: float) -> float:
    """F1; 0 where only one side has anything, NaN where neither has."""
    if np.isnan(precision) and np.isnan(recall):
        return nan
    return 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0


def hausdorff(from_reference: Histogram, from_prediction: Histogram, percentile: float = 95) -> float:
    """The larger of the two directed percentiles of the distance (100: the Hausdorff distance); NaN without distances.

    Percentiles are interpolated linearly between pixels, as NumPy does. Some packages take one percentile of the
    distances of both directions together instead, which is never larger.
    """
    directed = [weighted_percentile(histogram, percentile) for histogram in (from_reference, from_prediction)]
    return float(np.max(directed))


def weighted_percentile(histogram: Histogram, percentile: float) -> float:
    """Percentile of values that are given with their number, interpolated linearly; NaN of none."""
    order = np.argsort(histogram[:, 0], kind="stable")
    values, upto = histogram[order, 0], np.cumsum(histogram[order, 1])
    if not values.size:
        return nan
    position = (upto[-1] - 1) * percentile / 100
    below, above = np.searchsorted(upto, [np.floor(position), np.ceil(position)], side="right")
    return float(values[below] + (values[above] - values[below]) * (position - np.floor(position)))


def average_surface_distance(from_reference: Histogram, from_prediction: Histogram) -> float:
    """Mean over the boundary pixels of both masks of the distance to the other; NaN without distances.

    Source: Heimann et al., IEEE Transactions on Medical Imaging 28:1251 (2009), the symmetric ASD.
    """
    both = np.concatenate([from_reference, from_prediction])
    return ratio(float(both[:, 0] @ both[:, 1]), float(both[:, 1].sum()))
