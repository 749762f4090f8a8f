"""Peaks that stand out, and what belongs to each: one compiled pass. Imported when first needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def hills(
    order: NDArray[np.int64], heights: NDArray[np.float32], steps: NDArray[np.int64], kept: float
) -> NDArray[np.uint32]:
    """The hill of every pixel, hills that do not stand out joined to the higher one that they lean on.

    The land rises out of falling water. A pixel that appears by itself is a new peak, others belong to the hill of
    their highest neighbour. Where two hills meet, the lower is joined to the higher one if the pass between them is at
    least ``kept`` of its height; a peak not above 0 stands out from nothing.

    Args:
        order: Flat indices of the pixels, the highest first.
        heights: Flat; the outermost pixels along every axis are not in ``order``.
        steps: What leads from a flat index to that of each neighbour.
        kept: 0..1.

    Returns:
        Ids 1..n like ``heights``, 0 where a pixel is not in ``order``.

    Source: zero-dimensional persistence of superlevel sets (Edelsbrunner, Letscher, Zomorodian 2002), the dynamics of
    morphology (Grimaud 1992), with a relative instead of an absolute depth.
    """
    labels = np.zeros(heights.size, np.uint32)
    parents = np.zeros(1024, np.uint32)
    peaks = np.zeros(1024, np.float32)
    n = 0
    for p in order:
        height = heights[p]
        best = np.int64(-1)
        for step in steps:
            q = p + step
            if labels[q] != 0 and (best < 0 or heights[q] > heights[best]):
                best = q
        if best < 0:
            n += 1
            if n == len(parents):
                parents, peaks = _longer(parents), _longer(peaks)
            parents[n], peaks[n], labels[p] = n, height, n
            continue
        own = _root(parents, labels[best])
        labels[p] = own
        for step in steps:
            q = p + step
            if labels[q] == 0:
                continue
            other = _root(parents, labels[q])
            if other == own:
                continue
            low, high = (own, other) if peaks[own] < peaks[other] else (other, own)
            if peaks[low] <= 0 or height >= kept * peaks[low]:
                parents[low] = high
                own = high
    ids, found = np.zeros(n + 1, np.uint32), 0
    for i in range(1, n + 1):
        if parents[i] == i:
            found += 1
            ids[i] = found
    for p in order:
        labels[p] = ids[_root(parents, labels[p])]
    return labels


@njit(cache=True, nogil=True)
def _root(parents: NDArray[np.uint32], hill: Any) -> Any:
    while parents[hill] != hill:
        parents[hill] = parents[parents[hill]]
        hill = parents[hill]
    return hill


@njit(cache=True, nogil=True)
def _longer(values: NDArray[Any]) -> NDArray[Any]:
    longer = np.zeros(2 * len(values), values.dtype)
    longer[: len(values)] = values
    return longer
