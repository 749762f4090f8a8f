"""Curved tubules of varying width on a pixel grid."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_PX = 0.8
"""Distance of the points of a path. Disks of at least ``THINNEST_PX`` radius on them cover a band wider than a pixel,
so a tubule has no gaps."""
THINNEST_PX = 0.75


def wander(
    generator: np.random.Generator, start: tuple[float, float], heading: float, length_px: float, persistence_px: float
) -> Floats:
    """A smooth random path (n, 2) of points y, x at ``STEP_PX`` distances.

    Its direction diffuses so that the correlation of tangents falls to 1/e over ``persistence_px`` (a worm-like
    chain in two dimensions), smoothed over a tenth of that.
    """
    n = max(2, int(length_px / STEP_PX))
    turns = generator.standard_normal(n) * np.sqrt(2 * STEP_PX / persistence_px)
    direction = heading + np.cumsum(turns)
    smoothing = min(max(0.1 * persistence_px / STEP_PX, 1.0), n)
    direction = scipy.ndimage.gaussian_filter1d(direction, smoothing, mode="nearest")
    steps = STEP_PX * np.stack([np.sin(direction), np.cos(direction)], axis=-1)
    path: Floats = np.asarray(start) + np.cumsum(steps, axis=0) - steps[0]
    return path


def arcs(start: Floats, end: Floats, bend: Floats, stop: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Paths from ``start`` to ``end`` that deviate to the side (parabolas), all at once.

    Args:
        start, end: (n, 2), y and x.
        bend: (n,), largest deviation relative to the distance of the ends.
        stop: (n,), fraction of the path after which it ends, 1 for whole ones.

    Returns:
        Points (m, 2), and for each the number of its path.
    """
    chord = end - start
    count = np.maximum(2, (np.hypot(*chord.T) / STEP_PX).astype(np.intp) + 2)
    owner = np.repeat(np.arange(len(start)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    t = place / (count[owner] - 1)
    keep = t <= stop[owner]
    owner, t = owner[keep], t[keep]
    side = np.stack([-chord[:, 1], chord[:, 0]], axis=-1)
    points: Floats = start[owner] + t[:, None] * chord[owner] + (4 * bend[owner] * t * (1 - t))[:, None] * side[owner]
    return points, owner


def paint(shape: tuple[int, int], path: Floats, radius_px: Floats, value: Floats) -> NDArray[np.float32]:
    """Draw tubules as the union of disks; where they overlap the brightest counts.

    Args:
        shape: Of the field (y, x).
        path: Points (n, 2), y and x in pixels, of all tubules.
        radius_px: Radius at each point; thinner ones are drawn with ``THINNEST_PX``.
        value: Brightness on the axis at each point, positive.

    Returns:
        float32 (y, x): 0 where no disk covers the pixel's centre; else the brightness, falling to 30 % at the rim
        like the thickness of a cylinder.
    """
    field = np.zeros(shape, dtype=np.float32)
    flat = field.reshape(-1)
    radius = np.maximum(radius_px, THINNEST_PX).astype(np.float32)
    near = (path > -radius[:, None] - 1).all(axis=1) & (path < np.asarray(shape) + radius[:, None]).all(axis=1)
    path, radius, bright = path[near].astype(np.float32), radius[near], value[near].astype(np.float32)
    if not len(path):
        return field
    order = np.argsort(radius, kind="stable")
    path, radius, bright = path[order], radius[order], bright[order]
    cell = np.rint(path).astype(np.intp)
    rest = path - cell
    reach = int(np.ceil(radius[-1] + 0.5))
    span = np.arange(-reach, reach + 1)
    for dy in span:
        for dx in span:
            # Only disks that can reach this offset: the offset is at most half a pixel diagonal nearer than it looks.
            first = int(np.searchsorted(radius, np.hypot(dy, dx) - 0.7072))
            d2 = (dy - rest[first:, 0]) ** 2 + (dx - rest[first:, 1]) ** 2
            y, x = cell[first:, 0] + dy, cell[first:, 1] + dx
            q = d2 / radius[first:] ** 2
            inside = (q < 1) & (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
            level = bright[first:][inside] * (0.3 + 0.7 * np.sqrt(1 - q[inside]))
            np.maximum.at(flat, (y * shape[1] + x)[inside], level)
    return field
