"""Compiled loops over runs of equal label pairs. Imported when first needed, because numba takes a while to import.

Neighbouring pixels mostly carry the same two labels, so a run of them costs one update of a table instead of many.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Flat = NDArray[np.unsignedinteger]
Cells = NDArray[np.int64]
Table = NDArray[np.uint64]

FREE_CAPACITY = 1 << 12
_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xC2B2AE3D27D4EB4F)
_HALF = np.uint64(32)


@njit(cache=True, nogil=True)
def _run_end(reference: Flat, prediction: Flat, start: int) -> int:
    """First index after ``start`` where either label changes."""
    r, p, end = reference[start], prediction[start], start + 1
    while end < reference.size and reference[end] == r and prediction[end] == p:
        end += 1
    return end


@njit(cache=True, nogil=True)
def _weight(valid: NDArray[np.bool_], start: int, end: int) -> int:
    """Number of pixels of a run that count; an empty ``valid`` means all."""
    if valid.size == 0:
        return end - start
    weight = 0
    for index in range(start, end):
        weight += valid[index]
    return weight


@njit(cache=True, nogil=True)
def count_dense(reference: Flat, prediction: Flat, valid: NDArray[np.bool_], cells: Cells) -> None:
    """Add the pairs of labels of two flat arrays to ``cells`` (reference labels, prediction labels)."""
    start = 0
    while start < reference.size:
        end = _run_end(reference, prediction, start)
        cells[reference[start], prediction[start]] += _weight(valid, start, end)
        start = end


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
def count_hashed(
    reference: Flat, prediction: Flat, valid: NDArray[np.bool_], table: Table, used: int
) -> tuple[Table, int]:
    """Add the pairs of labels of two flat arrays to a hash table; returns the table, grown if need be, and its fill."""
    start = 0
    while start < reference.size:
        end = _run_end(reference, prediction, start)
        weight = _weight(valid, start, end)
        if weight > 0:
            r, p = np.uint64(reference[start]), np.uint64(prediction[start])
            slot = _slot(table, r, p)
            if table[slot, 2] == np.uint64(0):
                if 2 * (used + 1) > table.shape[0]:
                    table = _doubled(table)
                    slot = _slot(table, r, p)
                table[slot, 0] = r
                table[slot, 1] = p
                used += 1
            table[slot, 2] += np.uint64(weight)
        start = end
    return table, used
