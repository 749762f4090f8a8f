"""Compiled thinning of the borders between labels. Imported when first needed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def thin_plane(labels: NDArray[np.uint64]) -> None:
    """Grow the labels of one plane (y, x) in place, nearest pixels first, until the borders are one pixel wide."""
    height, width = labels.shape
    queued = np.zeros((height, width), np.bool_)
    queue = np.empty((height * width, 2), np.int32)
    steps = ((-1, 0), (0, -1), (0, 1), (1, 0))
    end = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0:
                for dy, dx in steps:
                    ny, nx = y + dy, x + dx
                    if 0 <= ny < height and 0 <= nx < width and labels[ny, nx] != 0:
                        queued[y, x] = True
                        queue[end, 0], queue[end, 1] = y, x
                        end += 1
                        break
    begin = 0
    while begin < end:
        y, x = queue[begin]
        begin += 1
        label, border = np.uint64(0), False
        for dy, dx in steps:
            ny, nx = y + dy, x + dx
            if 0 <= ny < height and 0 <= nx < width and labels[ny, nx] != 0:
                border = border or (label != 0 and labels[ny, nx] != label)
                label = labels[ny, nx]
        if border:
            continue
        labels[y, x] = label
        for dy, dx in steps:
            ny, nx = y + dy, x + dx
            if 0 <= ny < height and 0 <= nx < width and labels[ny, nx] == 0 and not queued[ny, nx]:
                queued[ny, nx] = True
                queue[end, 0], queue[end, 1] = ny, nx
                end += 1
