"""A compiled watershed for large arrays. Imported when first needed, because numba takes a while to import.

What a flood costs is waiting for memory: the front is everywhere at once, and every voxel it takes looks at neighbours
that lie far apart. So one array of two bytes per voxel says all that is asked of a neighbour (its height, or that it
is not to be had), a border of such voxels makes checks of the edge needless, and the queue of each height is a chain
of blocks that are read in one go and used again.

On 40x512x512 noisy maps it takes two thirds to four fifths of the time of bioimage-cpp's watershed, and agrees with it
in .99998 of the pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

CLOSED = 65535
"""Height of voxels that are labelled already, outside the mask, or beyond the edge."""
_LEVELS = 1 << 16
_BLOCK = 64
_NONE = -1

Blocks = NDArray[np.int32]
"""(n, _BLOCK): flat indices of voxels."""
Chain = NDArray[np.int32]


@njit(cache=True, nogil=True)
def flood_heights(heights: NDArray[np.uint16], labels: NDArray[np.uint32], steps: NDArray[np.int64]) -> None:
    """Meyer's flooding, in place: the lowest voxels first, those of the same height in the order they were reached.

    Args:
        heights: Flat; of each voxel that may be flooded or whose label may spread; :data:`CLOSED` for the others, and
            for every voxel at the edge of the array. All are closed afterwards.
        labels: Flat; the seeds, 0 where there is none. Seeds do not spread from closed voxels.
        steps: What leads from a flat index to that of each neighbour.

    Source: Meyer, 8e congres de reconnaissance des formes et intelligence artificielle 2:847 (1991).
    """
    blocks = np.empty((labels.size // _BLOCK + _LEVELS + 1, _BLOCK), np.int32)  # memory that is not used costs nothing
    behind = np.empty(len(blocks), np.int32)
    first, last = np.full(_LEVELS, _NONE, np.int32), np.full(_LEVELS, _NONE, np.int32)
    filled = np.zeros(_LEVELS, np.int32)
    pool = np.array([0, _NONE], np.int32)
    for p in range(labels.size):
        if labels[p] != 0 and heights[p] != CLOSED:
            _push(np.int64(heights[p]), p, blocks, behind, first, last, filled, pool)
            heights[p] = CLOSED
    for level in range(_LEVELS):
        block, at = first[level], 0
        while block != _NONE:
            # Voxels of this very height are added to its last block while that is read.
            if at == (filled[level] if block == last[level] else _BLOCK):
                done, block, at = block, behind[block], 0
                behind[done], pool[1] = pool[1], done
                continue
            p = blocks[block, at]
            at += 1
            for step in steps:
                q = p + step
                height = np.int64(heights[q])
                if height != CLOSED:
                    heights[q] = CLOSED
                    labels[q] = labels[p]
                    _push(height if height > level else np.int64(level), q, blocks, behind, first, last, filled, pool)


@njit(cache=True, nogil=True)
def _push(
    level: int | np.signedinteger[Any],
    voxel: int,
    blocks: Blocks,
    behind: Chain,
    first: Chain,
    last: Chain,
    filled: NDArray[np.int32],
    pool: NDArray[np.int32],
) -> None:
    """Add a voxel to the queue of its height, in a new block where the last one is full.

    Args:
        level: Height.
        voxel: Flat index.
        blocks: All blocks.
        behind: The block that follows each block.
        first: First block of each height.
        last: Last block of each height.
        filled: Voxels in the last block of each height.
        pool: How many blocks were ever used, and the first of those that were given back.
    """
    end = last[level]
    if end == _NONE or filled[level] == _BLOCK:
        new = pool[1]
        if new == _NONE:
            new = pool[0]
            pool[0] += 1
        else:
            pool[1] = behind[new]
        behind[new] = _NONE
        if end == _NONE:
            first[level] = new
        else:
            behind[end] = new
        last[level], filled[level] = new, 0
        end = new
    blocks[end, filled[level]] = voxel
    filled[level] += 1
