"""Colours for objects such that neighbours differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels


def neighbours(labels: Labels, reach_px: int = 2) -> NDArray[np.int64]:
    """Pairs of objects that are at most ``reach_px`` apart along an axis or a diagonal.

    Args:
        labels: (y, x), 0 background.
        reach_px: Distance up to which objects are neighbours; 1 means touching.

    Returns:
        (pairs, 2) ids, the smaller first, each pair once, sorted.
    """
    found = [np.zeros((0, 2), np.int64)]
    height, width = labels.shape
    for step in range(1, reach_px + 1):
        for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
            if dy >= height or abs(dx) >= width:
                continue
            first = labels[: height - dy, max(0, -dx) : width - max(0, dx)]
            second = labels[dy:, max(0, dx) : width + min(0, dx)]
            differ = (first != second) & (first != 0) & (second != 0)
            pairs = np.stack([first[differ], second[differ]], axis=1).astype(np.int64)
            found.append(np.unique(np.sort(pairs, axis=1), axis=0))
    return np.unique(np.concatenate(found), axis=0)


def neighbour_colours(labels: Labels, reach_px: int = 2, wished: int = 7) -> NDArray[np.int32]:
    """A colour number per pixel: 0 for background, and no two neighbouring objects with the same number.

    Greedy colouring in the order of falling degree (Welsh and Powell, 1967). Among the free numbers the least used is
    taken, so that ``wished`` colours appear about equally often; more are used only where the neighbourhood needs them.

    Args:
        labels: (y, x), 0 background.
        reach_px: Distance up to which objects are neighbours.
        wished: How many colours to use at least, as far as there are objects.

    >>> neighbour_colours(np.array([[4, 4, 9, 9, 0, 0, 0, 4]]), wished=2)
    array([[1, 1, 2, 2, 0, 0, 0, 1]], dtype=int32)
    """
    ids = np.unique(labels)
    ids = ids[ids != 0]
    adjacent: dict[int, set[int]] = {int(name): set() for name in ids}
    for first, second in neighbours(labels, reach_px).tolist():
        adjacent[first].add(second)
        adjacent[second].add(first)
    colours: dict[int, int] = {}
    used = [0] * wished
    for name in sorted(adjacent, key=lambda name: (-len(adjacent[name]), name)):
        taken = {colours[other] for other in adjacent[name] if other in colours}
        free = [number for number in range(len(used)) if number not in taken]
        if not free:
            used.append(0)
            free = [len(used) - 1]
        number = min(free, key=lambda number: (used[number], number))
        used[number] += 1
        colours[name] = number
    table = np.array([0] + [colours[int(name)] + 1 for name in ids], np.int32)
    places = np.searchsorted(ids, labels) + 1
    return np.where(labels == 0, 0, table[np.where(labels == 0, 0, places)]).astype(np.int32)
