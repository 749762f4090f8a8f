"""Compiled loops over runs of equal label pairs. Imported when first needed, because numba takes a while to import.

Neighbouring pixels mostly carry the same two labels, so a run of them costs one update of a table instead of many.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Flat = NDArray[np.unsignedinteger]
Cells = NDArray[np.int64]
Valid = NDArray[np.bool_] | None
Table = NDArray[np.uint64]

STRIPE = 1 << 12
"""Pixels looked at together; their run starts stay in the first-level cache."""
FREE_CAPACITY = 1 << 13
_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xC2B2AE3D27D4EB4F)
_HALF = np.uint64(32)


@njit(cache=True, nogil=True)
def _find_runs(reference: Flat, prediction: Flat, first: NDArray[np.uint8], starts: NDArray[np.int32]) -> int:
    """Write where runs start, and the end, to ``starts``; returns their number.

    Two loops without branches, of which the first runs on vector registers, are twice as fast as looking for the end
    of one run after the other. ``first`` is working memory.
    """
    first[0] = 1
    for index in range(1, reference.size):
        same = (reference[index] == reference[index - 1]) & (prediction[index] == prediction[index - 1])
        first[index] = not same
    runs = 0
    for index in range(reference.size):
        starts[runs] = index
        runs += first[index]
    starts[runs] = reference.size
    return runs


@njit(cache=True, nogil=True)
def _weight(valid: Valid, start: int, end: int) -> int:
    """Number of pixels of a run that count; all without ``valid``, for which numba compiles this apart."""
    if valid is None:
        return end - start
    weight = 0
    for index in range(start, end):
        weight += valid[index]
    return weight


@njit(cache=True, nogil=True)
def count_dense(reference: Flat, prediction: Flat, valid: Valid, cells: Cells) -> None:
    """Add the pairs of labels of two flat arrays to ``cells`` (reference labels, prediction labels)."""
    first, starts = np.empty(STRIPE, np.uint8), np.empty(STRIPE + 1, np.int32)
    for begin in range(0, reference.size, STRIPE):
        r, p = reference[begin : begin + STRIPE], prediction[begin : begin + STRIPE]
        for run in range(_find_runs(r, p, first, starts)):
            start = starts[run]
            cells[r[start], p[start]] += _weight(valid, begin + start, begin + starts[run + 1])


def free_table() -> Table:
    """An empty hash table with the columns reference label, prediction label, count; count 0 marks a free slot."""
    return np.zeros((FREE_CAPACITY, 3), np.uint64)


@njit(cache=True, nogil=True)
def _slot(table: Table, r: np.uint64, p: np.uint64) -> np.uint64:
    """Slot that holds the pair, or the free one where it belongs (linear probing)."""
    last = np.uint64(table.shape[0] - 1)
    mixed = (r * _MIX_A) ^ (p * _MIX_B)
    slot = (mixed ^ (mixed >> _HALF)) & last
    while table[slot, 2] != np.uint64(0) and (table[slot, 0] != r or table[slot, 1] != p):
        slot = (slot + np.uint64(1)) & last
    return slot


@njit(cache=True, nogil=True)
def _doubled(table: Table) -> Table:
    """The same pairs in a table of twice the capacity."""
    larger = np.zeros((2 * table.shape[0], 3), np.uint64)
    for row in range(table.shape[0]):
        if table[row, 2] != np.uint64(0):
            slot = _slot(larger, table[row, 0], table[row, 1])
            for column in range(3):
                larger[slot, column] = table[row, column]
    return larger


@njit(cache=True, nogil=True)
def _add_runs(
    reference: Flat, prediction: Flat, valid: Valid, begin: int, starts: NDArray[np.int32], table: Table
) -> int:
    """Add the runs of the stripe at ``begin`` to a table with room for all; returns how many new pairs it holds."""
    added = 0
    for run in range(starts.size - 1):
        start = begin + starts[run]
        weight = _weight(valid, start, begin + starts[run + 1])
        if weight:
            r, p = np.uint64(reference[start]), np.uint64(prediction[start])
            slot = _slot(table, r, p)
            added += table[slot, 2] == np.uint64(0)
            table[slot, 0] = r
            table[slot, 1] = p
            table[slot, 2] += np.uint64(weight)
    return added


@njit(cache=True, nogil=True)
def count_hashed(reference: Flat, prediction: Flat, valid: Valid, table: Table, used: int) -> tuple[Table, int]:
    """Add the pairs of labels of two flat arrays to a hash table; returns the table, grown if need be, and its fill."""
    first, starts = np.empty(STRIPE, np.uint8), np.empty(STRIPE + 1, np.int32)
    for begin in range(0, reference.size, STRIPE):
        stop = min(begin + STRIPE, reference.size)
        runs = _find_runs(reference[begin:stop], prediction[begin:stop], first, starts)
        while 2 * (used + runs) > table.shape[0]:
            table = _doubled(table)
        used += _add_runs(reference, prediction, valid, begin, starts[: runs + 1], table)
    return table, used
