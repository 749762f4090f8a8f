"""Flooding, distances and smoothing, slice by slice or in the volume: what several decoders are made of.

Watershed: bioimage-cpp's, which agreed with scikit-image's in every pixel on 1024x1024 and 32x256x256 distance maps
with and without noise; ``scipy.ndimage.watershed_ift`` agreed in 45 to 76 % of the pixels only. Large volumes have one
of our own, :mod:`anyscope.instances.decoders.flooding`.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from anyscope.images.components import Ids, Mask, components

SMALL_VOXELS = 1 << 22
"""Volumes up to this size are flooded by bioimage-cpp within seconds."""

Map = NDArray[np.float32]


def place(dimensions: int) -> str:
    """Where objects are made, in words."""
    return "in each slice" if dimensions == 2 else "in the volume"


def smooth(values: Map, sigma_px: float) -> Map:
    """A map smoothed within its slices, the outermost pixels going on beyond the edge."""
    if sigma_px == 0:
        return values
    from bioimage_cpp.filters import gaussian_smoothing

    # Twice as fast as SciPy's, which it equals but for its reflecting edges; hence the padding.
    reach = ceil(3 * sigma_px)
    smoothed = np.empty(values.shape, np.float32)
    for z, plane in enumerate(values):
        wide = gaussian_smoothing(np.pad(plane, reach, mode="edge"), sigma_px)
        smoothed[z] = wide[reach : reach + plane.shape[0], reach : reach + plane.shape[1]]
    return smoothed


def distance_to(region: Mask, dimensions: int, anisotropy: float = 1.0) -> Map:
    """Distance of every pixel to the nearest one of the region, in pixels of a slice; infinite where there is none.

    Args:
        region: (z, y, x).
        dimensions: 2 looks within the slice, 3 in the volume.
        anisotropy: Distance of slices over that of pixels.
    """
    return distance_within(~region, dimensions, anisotropy)


def distance_within(region: Mask, dimensions: int, anisotropy: float = 1.0) -> Map:
    """Distance of every pixel of the region to the nearest one outside, 0 outside; the array's edge is no outside."""
    import edt

    if dimensions == 3:
        voxel = (anisotropy, 1.0, 1.0)
        return np.asarray(edt.edt(np.ascontiguousarray(region), anisotropy=voxel, black_border=False, parallel=1))
    return np.stack([edt.edt(np.ascontiguousarray(plane), black_border=False, parallel=1) for plane in region])


def flood(landscape: Map, seeds: Ids, mask: Mask, dimensions: int) -> Ids:
    """Seeds grown uphill within the mask, across faces; seeds outside the mask count for nothing.

    Args:
        landscape: Heights (z, y, x), of which 65,535 levels are told apart.
        seeds: Ids, 0 where there is none.
        mask: Where labels may be.
        dimensions: 2 floods every slice for itself.
    """
    free = mask & (seeds == 0)
    # The inside of a seed has nothing to flood, but would pass through the queue: only its rim is given away.
    active = free | (mask & _beside(free, dimensions))
    if dimensions == 3:
        grown = (_flood_small if mask.size <= SMALL_VOXELS else _flood_large)(landscape, seeds, active)
    else:
        grown = np.zeros_like(seeds)
        for z in range(len(seeds)):
            if free[z].any() and seeds[z].any():
                grown[z] = _flood_small(landscape[z], seeds[z], active[z])
    return np.asarray(np.where(free, grown, np.where(mask, seeds, 0)), np.uint32)


def _flood_small(landscape: Map, seeds: Ids, mask: Mask) -> Ids:
    from bioimage_cpp.segmentation import watershed

    return np.asarray(watershed(landscape, seeds, mask=mask), np.uint32)


def _flood_large(landscape: Map, seeds: Ids, mask: Mask) -> Ids:
    """The same with compiled loops of our own: see that module for what they gain. They take a second to load."""
    from anyscope.instances.decoders import flooding

    inner = (slice(1, -1),) * 3
    shape = [length + 2 for length in mask.shape]
    if np.prod(shape) >= 2**31:
        return _flood_small(landscape, seeds, mask)  # flat indices have 32 bits
    heights, labels = np.full(shape, flooding.CLOSED, np.uint16), np.zeros(shape, np.uint32)
    low, high = float(landscape.min()), float(landscape.max())
    scale = np.float32((flooding.CLOSED - 1) / (high - low) if high > low else 0)
    for z, plane in enumerate(landscape):
        levels = ((plane - np.float32(low)) * scale).astype(np.uint16)
        heights[z + 1, 1:-1, 1:-1] = np.where(mask[z], levels, flooding.CLOSED)
    np.copyto(labels[inner], seeds, where=mask)
    _, y, x = heights.shape
    flooding.flood_heights(heights.reshape(-1), labels.reshape(-1), np.array([-y * x, -x, -1, 1, x, y * x], np.int64))
    return labels[inner]


def _beside(region: Mask, dimensions: int) -> Mask:
    """Pixels that share a face with the region."""
    found = np.zeros_like(region)
    for axis in range(3 - dimensions, 3):
        low: list[slice] = [slice(None)] * 3
        high: list[slice] = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        found[tuple(low)] |= region[tuple(high)]
        found[tuple(high)] |= region[tuple(low)]
    return found


def add_unseeded(labels: Ids, mask: Mask, dimensions: int) -> None:
    """Give ids of their own, in place, to the parts of the mask that no seed has reached."""
    missed = mask & (labels == 0)
    if missed.any():
        own = components(missed, 1, dimensions)
        own[missed] += labels.max()
        labels += own
