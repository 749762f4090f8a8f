"""Connected components of a mask, slice by slice or in the volume."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput

Neighbours = Literal[4, 6, 8, 18, 26]
_NEIGHBOURS: dict[tuple[int, int], Neighbours] = {(2, 1): 4, (2, 2): 8, (3, 1): 6, (3, 2): 18, (3, 3): 26}

Mask = NDArray[np.bool_]
Ids = NDArray[np.uint32]


def components(mask: Mask, connectivity: int, dimensions: int) -> Ids:
    """Connected components (z, y, x) of a mask, numbered 1..n; ids go on from slice to slice where taken per slice."""
    import cc3d

    neighbours = neighbours_of(connectivity, dimensions)
    if dimensions == 3:
        # cc3d 4.1 counts on an eighth of the voxels as labels for 26 neighbours, too few where lengths are odd.
        even = np.pad(mask, [(0, length % 2) for length in mask.shape]) if neighbours == 26 else mask
        labelled = cc3d.connected_components(even, connectivity=neighbours, out_dtype=np.uint32)
        return np.asarray(labelled[tuple(slice(length) for length in mask.shape)], np.uint32)
    labels, n = np.empty(mask.shape, np.uint32), 0
    for z, plane in enumerate(mask):
        part, found = cc3d.connected_components(plane, connectivity=neighbours, out_dtype=np.uint32, return_N=True)
        labels[z] = np.where(part > 0, part + np.uint32(n), 0) if n else part
        n += int(found)
    return labels


def neighbours_of(connectivity: int, dimensions: int) -> Neighbours:
    """The number of neighbours that a connectivity of scikit-image means."""
    try:
        return _NEIGHBOURS[dimensions, connectivity]
    except KeyError:
        raise BadInput("connectivity", f"{connectivity} in {dimensions}D", f"1 to {dimensions}") from None
