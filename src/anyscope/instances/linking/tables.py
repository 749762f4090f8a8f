"""What linkers know of a volume: how large the objects of each slice are, and how much those of near slices overlap.

Slices are read one after the other, and two (three where one may be bridged) are in memory at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.metrics import Contingency, contingency

Indices = NDArray[np.int64]

GAP_PX = 3
"""Background between two objects that touch: as wide as boundaries are predicted."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of objects: of two slices that share pixels when laid on each other, or of one slice that touch.

    Args:
        lower: (k,) object of the first of the two slices; of one slice the one with the lower number.
        upper: (k,) object of the second.
        pixels: (k,) number of shared pixels; of one slice that of pairs of pixels that face each other.
    """

    lower: Indices
    upper: Indices
    pixels: Indices


@dataclass(frozen=True, eq=False)
class SliceTables:
    """The objects of all slices, counted through: slice after slice, by id within a slice. Id 0 is no object.

    Args:
        ids: (n,) uint64, what each object is called in its slice.
        sizes: (n,) its pixels.
        starts: (slices + 1,) first object of each slice, and n.
        next: Overlaps of consecutive slices.
        second: Overlaps of each slice with the next but one; None where they were not asked for.
        contacts: Objects of one slice that touch, up to :data:`GAP_PX` pixels of background between them.
    """

    ids: NDArray[np.uint64]
    sizes: Indices
    starts: Indices
    next: Overlaps
    second: Overlaps | None
    contacts: Overlaps

    @property
    def slices(self) -> Indices:
        """(n,) number of the slice of each object."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def iou(self, overlaps: Overlaps) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        sizes = self.sizes[overlaps.lower] + self.sizes[overlaps.upper]
        return np.asarray(overlaps.pixels / (sizes - overlaps.pixels))

    def share_of_smaller(self, overlaps: Overlaps) -> NDArray[np.float64]:
        """What part of the smaller of the two is shared, for each pair."""
        return np.asarray(overlaps.pixels / np.minimum(self.sizes[overlaps.lower], self.sizes[overlaps.upper]))

    def share_of_larger(self, overlaps: Overlaps) -> NDArray[np.float64]:
        """What part of the larger of the two is shared, for each pair."""
        return np.asarray(overlaps.pixels / np.maximum(self.sizes[overlaps.lower], self.sizes[overlaps.upper]))

    def rim_motion_px(self) -> float:
        """How far the rims of objects move from one slice to the next, in pixels.

        What an object and its best partner do not share, over the circumference of a disc of the size that they share:
        the mean way of the rim across itself. Of all such pairs the median, each counted by that circumference; 0 where
        there are none.
        """
        best = mutual_best(self.next, len(self.ids), np.ones(len(self.next.pixels), bool))
        if not best.any():
            return 0.0
        shared = self.next.pixels[best]
        apart = self.sizes[self.next.lower[best]] + self.sizes[self.next.upper[best]] - 2 * shared
        circumference = 2 * np.sqrt(np.pi * shared)
        motion = apart / circumference
        order = np.argsort(motion)
        weights = np.cumsum(circumference[order])
        return float(motion[order][np.searchsorted(weights, weights[-1] / 2)])


def mutual_best(overlaps: Overlaps, n: int, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pairs share the most pixels for both of their objects, ties going to the first of them.

    Args:
        overlaps: Pairs of ``n`` objects.
        n: Number of objects.
        among: The pairs to choose from.
    """
    order = np.lexsort((np.arange(len(overlaps.pixels)), -overlaps.pixels))
    order = order[among[order]]
    chosen = np.zeros(len(overlaps.pixels), bool)
    of_lower, of_upper = np.full(n, -1), np.full(n, -1)
    of_lower[overlaps.lower[order[::-1]]] = order[::-1]  # the first in order is written last
    of_upper[overlaps.upper[order[::-1]]] = order[::-1]
    chosen[order] = (of_lower[overlaps.lower[order]] == order) & (of_upper[overlaps.upper[order]] == order)
    return chosen


def slice_tables(slices: Iterable[Labels], next_but_one: bool = False) -> SliceTables:
    """Count the objects of slices and their overlaps.

    Args:
        slices: Labels (y, x), one slice after the other; ids may or may not mean the same in two of them.
        next_but_one: Also overlay each slice with the next but one.
    """
    ids: list[NDArray[np.uint64]] = []
    sizes: list[Indices] = []
    starts = [0]
    found: tuple[list[Overlaps], list[Overlaps], list[Overlaps]] = ([], [], [])
    before: deque[Labels] = deque(maxlen=2 if next_but_one else 1)
    for z, plane in enumerate(slices):
        own = contingency(plane, plane, threads=1)
        real = own.reference_ids > 0
        ids.append(own.reference_ids[real])
        sizes.append(own.reference_sizes[real])
        starts.append(starts[-1] + len(ids[-1]))
        for step, lower in enumerate(reversed(before), start=1):
            both = contingency(lower, plane, threads=1)
            found[step - 1].append(_overlaps(both, ids[z - step], ids[z], starts[z - step], starts[z]))
        found[2].append(_contacts(plane, ids[z], starts[z]))
        before.append(plane)
    return SliceTables(
        np.concatenate([np.zeros(0, np.uint64), *ids]),
        np.concatenate([np.zeros(0, np.int64), *sizes]),
        np.array(starts, np.int64),
        _all(found[0]),
        _all(found[1]) if next_but_one else None,
        _all(found[2]),
    )


def _overlaps(
    table: Contingency, lower: NDArray[np.uint64], upper: NDArray[np.uint64], first_lower: int, first_upper: int
) -> Overlaps:
    reference, prediction = table.reference_ids[table.rows], table.prediction_ids[table.cols]
    real = (reference > 0) & (prediction > 0)
    return Overlaps(
        np.searchsorted(lower, reference[real]) + first_lower,
        np.searchsorted(upper, prediction[real]) + first_upper,
        table.counts[real],
    )


def _contacts(plane: Labels, ids: NDArray[np.uint64], first: int) -> Overlaps:
    """Objects of a slice that face each other along an axis, with nothing or a little background between them."""
    lower: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    upper: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    for lines in (plane, plane.T):
        for step in range(1, min(GAP_PX + 2, len(lines))):
            one, other = lines[:-step], lines[step:]
            facing = (one != other) & (one != 0) & (other != 0)
            for between in range(1, step):
                facing &= lines[between : between - step] == 0
            pair = one[facing].astype(np.uint64), other[facing].astype(np.uint64)
            lower.append(np.minimum(*pair))
            upper.append(np.maximum(*pair))
    low, high = (np.searchsorted(ids, np.concatenate(each)) for each in (lower, upper))
    pairs, pixels = np.unique(low * max(1, len(ids)) + high, return_counts=True)
    return Overlaps(pairs // max(1, len(ids)) + first, pairs % max(1, len(ids)) + first, pixels)


def _all(parts: list[Overlaps]) -> Overlaps:
    nothing = np.zeros(0, np.int64)
    return Overlaps(
        np.concatenate([nothing, *(part.lower for part in parts)]),
        np.concatenate([nothing, *(part.upper for part in parts)]),
        np.concatenate([nothing, *(part.pixels for part in parts)]),
    )
