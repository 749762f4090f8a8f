"""Random label images whose objects a decoder can be expected to find again."""

from __future__ import annotations

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
    values, _ = targets(labels, layout)
    if classes > 2:
        one_hot = (np.arange(classes)[:, None, None, None] == labels).astype(np.float32)
        parts = [one_hot if head == "mask" else values[i : i + 1] for i, head in enumerate(heads)]
        values = np.concatenate(parts)
    assert values.shape[0] == layout.channels
    return split_maps(values, layout)
