"""Colours for objects such that neighbours differ, the same in reference and prediction, and all through a stack."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.metrics import contingency

REACH_PX = 3
"""Objects so near to each other are neighbours: the width of a membrane in a picture, with its two outlines."""
WISHED = 8
"""Colours to choose from before more are taken."""


@dataclass(frozen=True, eq=False)
class Colouring:
    """A colour number for each object.

    Args:
        ids: (n,) increasing, without 0.
        numbers: (n,) int32, from 1.
    """

    ids: NDArray[np.integer]
    numbers: NDArray[np.int32]

    def of(self, labels: Labels) -> NDArray[np.int32]:
        """The number of each pixel; 0 for background and for objects that are not coloured."""
        if not self.ids.size:
            return np.zeros(labels.shape, np.int32)
        places = np.searchsorted(self.ids, labels)
        places[places == self.ids.size] = 0
        return np.where(self.ids[places] == labels, self.numbers[places], 0).astype(np.int32)

    @property
    def count(self) -> int:
        """The highest number."""
        return int(self.numbers.max(initial=0))


def neighbours(labels: Labels, reach_px: int = REACH_PX) -> NDArray[np.int64]:
    """Pairs of objects of which some pixels are at most ``reach_px`` apart, or above one another in a stack.

    Args:
        labels: (y, x) or (z, y, x), 0 background.
        reach_px: Euclidean distance within a plane up to which objects are neighbours; 1 means touching by a face.

    Returns:
        (pairs, 2) ids, the smaller first, each pair once, sorted.
    """
    compact, ids = _compact(labels)
    pairs = np.sort(ids[_pairs(compact, ids.size, reach_px)].astype(np.int64), axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def object_colours(
    labels: Labels,
    reach_px: int = REACH_PX,
    wished: int = WISHED,
    given: Mapping[int, int] | None = None,
) -> Colouring:
    """Number the objects of an image or of a whole stack such that no two neighbours have the same number.

    The object that sees most colours is coloured next, of several the one with most neighbours, of these the first in
    the image: the result does not depend on how objects are numbered. It takes the free colour that is used least, so
    that ``wished`` colours appear about equally often; more are used only where the neighbourhood needs them.

    Args:
        labels: (y, x) or (z, y, x), 0 background. In a stack an object has one colour in all planes.
        reach_px: Distance up to which objects are neighbours, see :func:`neighbours`.
        wished: How many colours to use, as far as there are objects; at least 1.
        given: Colour numbers (from 1) that objects should get by id; one that would clash with a neighbour that got
            its own before is dropped, larger objects come first.

    Source: Brelaz, New methods to color the vertices of a graph, Communications of the ACM 22:251 (1979).
    """
    compact, ids = _compact(labels)
    around = _adjacent(_pairs(compact, ids.size, reach_px), ids.size)
    fixed: dict[int, int] = {}
    if given:
        sizes = np.bincount(compact.ravel(), minlength=ids.size)
        known = sorted(set(np.flatnonzero(np.isin(ids, list(given))).tolist()) - {0}, key=lambda n: (-sizes[n], n))
        for node in known:
            wanted = given[int(ids[node])]
            if all(fixed.get(other) != wanted for other in around[node]):
                fixed[node] = wanted
    colours = _spread(around, fixed, wished)
    if max(colours[1:], default=0) > wished:
        # Even use costs colours: where they do not suffice, take the first free one, if that is better.
        frugal = _spread(around, fixed, 0)
        colours = min(colours, frugal, key=lambda numbers: max(numbers[1:], default=0))
    order = np.argsort(ids[1:])
    return Colouring(ids[1:][order], np.array(colours[1:], np.int32)[order])


def matching_colours(
    reference: Labels, prediction: Labels, reach_px: int = REACH_PX, wished: int = WISHED
) -> tuple[Colouring, Colouring]:
    """Colours of two label images of the same scene: objects that are partners have the same where none clashes.

    Partners are objects of which each shares most of its pixels with the other, which those with an IoU above .5 do.

    Args:
        reference: (y, x) or (z, y, x), 0 background.
        prediction: The same shape.
        reach_px: Distance up to which objects are neighbours.
        wished: How many colours to use, as far as there are objects.
    """
    first = object_colours(reference, reach_px, wished)
    table = contingency(reference, prediction)
    rows, cols, counts = table.rows, table.cols, table.counts
    both = (table.reference_ids[rows] != 0) & (table.prediction_ids[cols] != 0)
    rows, cols, counts = rows[both], cols[both], counts[both]
    most_of_row, most_of_col = np.zeros(table.reference_ids.size), np.zeros(table.prediction_ids.size)
    np.maximum.at(most_of_row, rows, counts)
    np.maximum.at(most_of_col, cols, counts)
    mutual = (counts == most_of_row[rows]) & (counts == most_of_col[cols])
    numbers = dict(zip(first.ids.tolist(), first.numbers.tolist(), strict=True))
    names = zip(table.prediction_ids[cols[mutual]].tolist(), table.reference_ids[rows[mutual]].tolist(), strict=True)
    given = {partner: numbers[name] for partner, name in names}
    return first, object_colours(prediction, reach_px, wished, given)


def _compact(labels: Labels) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Labels renumbered from 1 in the order in which they appear, and the id of each number; 0 stays 0."""
    import fastremap

    contiguous = np.ascontiguousarray(labels)
    if contiguous.dtype == bool:
        contiguous = contiguous.view(np.uint8)
    renumbered, mapping = fastremap.renumber(contiguous, preserve_zero=True)
    ids: NDArray[np.integer] = np.zeros(int(renumbered.max(initial=0)) + 1, contiguous.dtype)
    for name, number in mapping.items():
        ids[int(number)] = name
    return np.asarray(renumbered, np.int32), ids


def _pairs(compact: NDArray[np.int32], count: int, reach_px: int) -> NDArray[np.int64]:
    """Pairs of neighbours by their compact numbers, the smaller first."""
    stack = compact if compact.ndim == 3 else compact[None]
    # With background behind every row and plane, a step is a shift of the flat array: nothing is copied.
    padded = np.pad(stack, ((0, 0), (0, reach_px), (0, reach_px)))
    flat = padded.ravel()
    found = [np.zeros(0, np.int64)]
    for dz, dy, dx in _steps(reach_px):
        shift = (dz * padded.shape[1] + dy) * padded.shape[2] + dx
        if shift >= flat.size:
            continue
        table = contingency(flat[:-shift], flat[shift:])
        first = table.reference_ids[table.rows].astype(np.int64)
        second = table.prediction_ids[table.cols].astype(np.int64)
        differ = (first != second) & (first != 0) & (second != 0)
        low, high = np.minimum(first, second)[differ], np.maximum(first, second)[differ]
        found.append(low * count + high)
    keys = np.unique(np.concatenate(found))
    return np.stack([keys // max(count, 1), keys % max(count, 1)], axis=1)


def _steps(reach_px: int) -> list[tuple[int, int, int]]:
    """Steps within reach, one of each pair of opposite ones, and the step to the next plane."""
    disc = product(range(reach_px + 1), range(-reach_px, reach_px + 1))
    return [(1, 0, 0), *((0, dy, dx) for dy, dx in disc if (dy, dx) > (0, 0) and dy**2 + dx**2 <= reach_px**2)]


def _adjacent(pairs: NDArray[np.int64], count: int) -> list[list[int]]:
    around: list[list[int]] = [[] for _ in range(count)]
    for first, second in pairs.tolist():
        around[first].append(second)
        around[second].append(first)
    return around


def _spread(around: list[list[int]], fixed: Mapping[int, int], wished: int) -> list[int]:
    """A colour number from 1 for each node from 1; the first ``wished`` ones are used evenly, others sparingly."""
    colours = [0] * len(around)
    used = [0] * (max(wished, max(fixed.values(), default=0)) + 1)
    seen: list[set[int]] = [set() for _ in around]
    for node, colour in fixed.items():
        colours[node] = colour
        used[colour] += 1
        for other in around[node]:
            seen[other].add(colour)
    queue = [(-len(seen[node]), -len(around[node]), node) for node in range(1, len(around)) if not colours[node]]
    heapq.heapify(queue)
    while queue:
        saturation, _, node = heapq.heappop(queue)
        if colours[node] or -saturation != len(seen[node]):
            continue  # an older entry of the same object
        free = [number for number in range(1, wished + 1) if number not in seen[node]]
        colour = min(free, key=lambda number: (used[number], number)) if free else wished + 1
        while colour in seen[node]:
            colour += 1
        used += [0] * (colour + 1 - len(used))
        colours[node] = colour
        used[colour] += 1
        for other in around[node]:
            if not colours[other] and colour not in seen[other]:
                seen[other].add(colour)
                heapq.heappush(queue, (-len(seen[other]), -len(around[other]), other))
    return colours
