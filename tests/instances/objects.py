"""Random label images whose objects a decoder can be expected to find again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from anyscope.contracts import HeadLayout
from anyscope.instances import split_maps, targets


def cells(
    shape: tuple[int, int], n: int, seed: int, *, radius_px: float = 14, apart_px: float = 14
) -> NDArray[np.uint32]:
    """Convex objects (y, x): discs cut by the halfway lines to their neighbours, many of them touching."""
    rng = np.random.default_rng(seed)
    centres: list[NDArray[np.float64]] = []
    for candidate in rng.uniform((7, 7), (shape[0] - 8, shape[1] - 8), (40 * n, 2)):
        if len(centres) < n and all(np.hypot(*(candidate - other)) >= apart_px for other in centres):
            centres.append(candidate)
    distance, nearest = cKDTree(np.array(centres)).query(np.moveaxis(np.indices(shape), 0, -1))
    labels = np.where(distance <= radius_px, nearest + 1, 0)
    present, labels = np.unique(labels, return_inverse=True)
    assert present[0] == 0 or not (labels == 0).any()
    return (labels + (present[0] != 0)).astype(np.uint32)


def perfect_maps(
    labels: NDArray[np.integer], heads: tuple[str, ...], classes: int = 2
) -> dict[str, NDArray[np.float32]]:
    """What a network without errors would predict for a label image (z, y, x)."""
    layout = HeadLayout(heads, classes)
    values = targets(labels, layout)
    if classes > 2:
        one_hot = (np.arange(classes)[:, None, None, None] == labels).astype(np.float32)
        parts = [one_hot if head == "mask" else values[i : i + 1] for i, head in enumerate(heads)]
        values = np.concatenate(parts)
    assert values.shape[0] == layout.channels
    return split_maps(values, layout)


def voronoi(shape: tuple[int, int, int], n: int, seed: int, *, background: float = 0.2) -> NDArray[np.uint32]:
    """Cells (z, y, x) around random points, some of them background; most touch several others."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, shape, (n, 3))
    _, nearest = cKDTree(points).query(np.moveaxis(np.indices(shape), 0, -1))
    names = np.where(rng.random(n) < background, 0, np.arange(1, n + 1))
    return np.asarray(names[nearest], np.uint32)


NEAR_2D = ((0, -1, 0), (0, 0, -1))
FAR_2D = tuple((0, dy, dx) for dy, dx in ((-3, 0), (0, -3), (-3, -3), (3, -3), (-9, 0), (0, -9), (-9, -9), (9, -9)))
OFFSETS_2D = NEAR_2D + FAR_2D
OFFSETS_3D = ((-1, 0, 0), *NEAR_2D, *FAR_2D, (-2, 0, 0), (-3, 0, 0), (-2, -2, 0), (-2, 0, -2), (-1, -3, 3))


def affinities_of(labels: NDArray[np.integer], offsets: Sequence[tuple[int, int, int]]) -> NDArray[np.float32]:
    """1 where a pixel and the one at the offset have the same label and it is not 0; 0 beyond the edge."""
    found = np.zeros((len(offsets), *labels.shape), np.float32)
    for k, offset in enumerate(offsets):
        for p in np.ndindex(*labels.shape):
            q = tuple(a + b for a, b in zip(p, offset, strict=True))
            if all(0 <= a < n for a, n in zip(q, labels.shape, strict=True)):
                found[(k, *p)] = labels[p] != 0 and labels[p] == labels[q]
    return found


def centre_of(labels: NDArray[np.integer], dimensions: int = 2) -> NDArray[np.float32]:
    """Distance to the pixel nearest to the object's mean position, over the largest within the object; 1 outside."""
    if dimensions == 2:
        return np.concatenate([centre_of(plane[None], 3) for plane in labels])
    found = np.ones(labels.shape, np.float32)
    for label in np.unique(labels[labels > 0]):
        pixels = np.argwhere(labels == label)
        centre = pixels[np.argmin(((pixels - pixels.mean(0)) ** 2).sum(1))]
        distance = np.sqrt(((pixels - centre) ** 2).sum(1))
        found[tuple(pixels.T)] = distance / max(distance.max(), 1)
    return found


def same_partition(reference: NDArray[np.integer], labels: NDArray[np.integer]) -> bool:
    """Whether two label images have the same objects in every pixel, up to their numbers; 0 is no object."""
    pairs = np.unique(np.stack([reference.ravel(), labels.ravel()]).astype(np.int64), axis=1)
    return (
        len(pairs.T) == len(np.unique(reference)) == len(np.unique(labels))
        and ((pairs == 0).all(0) | (pairs != 0).all(0)).all()
    )


def neurites(
    shape: tuple[int, int, int], n: int, seed: int, *, background: bool = False, ends: float = 0.3
) -> NDArray[np.uint32]:
    """Objects that run through the slices (z, y, x): cells around points that drift together by a pixel a slice, and
    sway, without changing places. A part of them begins, and a part of them ends on the way, where they taper over four
    slices and neighbours take their place."""
    rng = np.random.default_rng(seed)
    depth = shape[0]
    start: list[NDArray[np.float64]] = []
    for candidate in rng.uniform(0, shape[1:], (40 * n, 2)):
        if len(start) < n and all(np.hypot(*(candidate - other)) >= 8 for other in start):
            start.append(candidate)
    n = len(start)
    sway = 2 * np.sin(0.3 * np.arange(depth)[:, None, None] + rng.uniform(0, 2 * np.pi, (n, 2)))
    points = np.array(start) + sway + np.cumsum(rng.normal(0, 0.7, (depth, 1, 2)), axis=0)
    first = np.where(rng.random(n) >= ends, -4, rng.integers(0, depth, n))
    last = np.where(rng.random(n) >= ends, depth + 4, rng.integers(0, depth, n))
    first[0], last[0] = -4, depth + 4
    grid = np.moveaxis(np.indices(shape[1:]), 0, -1)[:, :, None]
    labels = np.empty(shape, np.uint32)
    for z in range(depth):
        inside = np.minimum(z - first, last - z)
        weight = np.where(inside < 0, np.inf, 40.0 * np.maximum(0, 4 - inside))
        squared = ((grid - points[z]) ** 2).sum(-1) + weight
        labels[z] = squared.argmin(-1) + 1
        if background:
            labels[z][squared.min(-1) > 150] = 0
    return labels
