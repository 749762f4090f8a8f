"""Compiled sums over the pixels of objects, plane by plane. Imported when first needed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_NONE = -1


@njit(cache=True, nogil=True)
def _ceil_div(a: int, b: int) -> int:
    return -((-a) // b)


@njit(cache=True, nogil=True)
def add_plane(plane: Ids, z: int, ids: Ids, size: Integers, sums: Integers, start: Integers, stop: Integers) -> None:
    """Add one plane (y, x) to the size (n,), sums of coordinates (n, 3) and bounding boxes (n, 3) of the objects."""
    height, width = plane.shape
    for y in range(height):
        x = 0
        while x < width:
            label, begin = plane[y, x], x
            while x < width and plane[y, x] == label:
                x += 1
            if label == 0:
                continue
            one, length = np.searchsorted(ids, label), x - begin
            size[one] += length
            sums[one, 0] += z * length
            sums[one, 1] += y * length
            sums[one, 2] += (begin + x - 1) * length // 2
            start[one, 0], stop[one, 0] = min(start[one, 0], z), max(stop[one, 0], z + 1)
            start[one, 1], stop[one, 1] = min(start[one, 1], y), max(stop[one, 1], y + 1)
            start[one, 2], stop[one, 2] = min(start[one, 2], begin), max(stop[one, 2], x)


@njit(cache=True, nogil=True)
def add_outlines(
    plane: Ids, ids: Ids, start: Integers, offset: Integers, left: Integers, right: Integers, moments: Floats
) -> None:
    """First and last column of every row of every object, and the second moments about its box corner.

    Args:
        plane: (y, x).
        ids: (n,) increasing.
        start: (n, 3) corner of the bounding box.
        offset: (n,) where the rows of an object begin in ``left`` and ``right``.
        left: First column of each row, -1 where a row has no pixel.
        right: Last column of each row.
        moments: (n, 5) sums of y, x, y y, y x, x x, relative to the corner.
    """
    height, width = plane.shape
    for y in range(height):
        x = 0
        while x < width:
            label, begin = plane[y, x], x
            while x < width and plane[y, x] == label:
                x += 1
            if label == 0:
                continue
            one = np.searchsorted(ids, label)
            row = offset[one] + y - start[one, 1]
            if left[row] == _NONE:
                left[row] = begin
            right[row] = x - 1
            dy = float(y - start[one, 1])
            for column in range(begin, x):
                dx = float(column - start[one, 2])
                moments[one, 0] += dy
                moments[one, 1] += dx
                moments[one, 2] += dy * dy
                moments[one, 3] += dy * dx
                moments[one, 4] += dx * dx


@njit(cache=True, nogil=True)
def hull_areas(offset: Integers, rows: Integers, left: Integers, right: Integers) -> Integers:
    """Number of pixels whose centre is in the convex hull of the edge midpoints of an object's pixels, exactly.

    Coordinates are doubled, so that edge midpoints are integers. The left side of the hull is the convex lower
    envelope of the leftmost midpoints over y, the right side the upper envelope of the rightmost ones.
    """
    areas = np.zeros(offset.size, np.int64)
    for one in range(offset.size):
        first, height = offset[one], rows[one]
        lows = _envelope(left[first : first + height], left[first : first + height], 1)
        highs = _envelope(right[first : first + height], left[first : first + height], -1)
        for row in range(height):
            areas[one] += -highs[row] - lows[row] + 1
    return areas


@njit(cache=True, nogil=True)
def _not_convex(ys: Integers, xs: Integers, count: int, y: int, x: int) -> bool:
    """Whether the last of ``count`` corners lies on or behind the line from the one before it to (y, x)."""
    last, before = count - 1, count - 2
    return bool((xs[last] - xs[before]) * (y - ys[before]) >= (x - xs[before]) * (ys[last] - ys[before]))


@njit(cache=True, nogil=True)
def _envelope(edge: Integers, present: Integers, sign: int) -> Integers:
    """First column in the hull of each row; with ``sign`` -1 minus the last one."""
    height = edge.size
    ys, xs = np.empty(3 * height, np.int64), np.empty(3 * height, np.int64)
    count = 0
    for row in range(height):
        if present[row] == _NONE:
            continue
        for step in range(-1, 2):
            y, x = 2 * row + step, 2 * sign * edge[row] - (step == 0)
            if count and ys[count - 1] == y:
                if xs[count - 1] <= x:
                    continue
                count -= 1
            while count >= 2 and _not_convex(ys, xs, count, y, x):
                count -= 1
            ys[count], xs[count] = y, x
            count += 1
    columns = np.empty(height, np.int64)
    corner = 0
    for row in range(height):
        y = 2 * row
        while ys[corner + 1] < y:
            corner += 1
        run = ys[corner + 1] - ys[corner]
        scaled = xs[corner] * run + (xs[corner + 1] - xs[corner]) * (y - ys[corner])
        columns[row] = _ceil_div(scaled, 2 * run)
    return columns
