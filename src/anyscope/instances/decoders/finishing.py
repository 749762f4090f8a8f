"""What is done with objects once they are found: small ones, holes, and the pixels that belong to none.

A dense segmentation of neurites has no background: its boundaries are predicted 0, and scores such as the Adapted Rand
error then compare pixels that no object claims. ``grow`` hands them to objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from anyscope.contracts import Labels
from anyscope.images.components import Ids, components
from anyscope.instances.decoders.base import Count, Dimensions
from anyscope.instances.decoders.regions import Map, distance_to, flood
from anyscope.instances.numbering import compact, count_pixels

Small = Literal["remove", "merge"]
Growth = Literal["none", "nearest", "boundary"]
GROWTHS: tuple[Growth, ...] = ("none", "boundary")
SIZES: tuple[tuple[Small, int], ...] = (
    *(("remove", size_px) for size_px in (0, 8, 16, 32, 64, 128)),
    *(("merge", size_px) for size_px in (16, 64, 128, 256)),
)  # fmt: skip
"""What is tried when a decoder is tuned: together, since merging shows its worth at other sizes than removing."""


@dataclass(frozen=True, kw_only=True)
class ObjectParameters:
    """The parameters that every decoder of objects has.

    Args:
        dimensions: 2 takes every slice for itself, ids going on from slice to slice; 3 makes objects in the volume.
        anisotropy: Distance of slices over that of pixels within them, wherever distances are taken in the volume.
        min_size_px: Objects of fewer pixels are small.
        small: Small objects become background (``remove``), or fall to the neighbours that they touch (``merge``; one
            that touches none is removed).
        fill_holes: Give background that a single object encloses to that object. What the array's edge cuts is no hole.
        grow: Grow objects over the pixels that belong to none: to the ``nearest`` object, or uphill on the
            ``boundary``, so that fronts meet on its crest.
        grow_px: How far they grow at most; None for no bound.
    """

    dimensions: Dimensions = 2
    anisotropy: Annotated[float, Field(gt=0, le=1000)] = 1.0
    min_size_px: Count = 8
    small: Small = "remove"
    fill_holes: bool = False
    grow: Growth = "none"
    grow_px: Annotated[float, Field(gt=0)] | None = None

    def finished(self, labels: Ids, landscape: Map) -> Labels:
        """Objects (z, y, x) 1..n in the smallest type that holds them.

        Args:
            labels: Ids (z, y, x), not far above the number of objects.
            landscape: Heights (z, y, x) on which objects meet where they grow.
        """
        if self.min_size_px > 1:
            labels = without_small(labels, self.min_size_px, landscape if self.small == "merge" else None, self)
        if self.fill_holes:
            labels = without_holes(labels, self.dimensions)
        if self.grow != "none":
            labels = grown(labels, landscape if self.grow == "boundary" else None, self)
        return compact(labels, 1)

    def finish_in_words(self) -> str:
        """What is added to a description, empty where nothing is."""
        words = []
        if self.min_size_px > 1:
            done = "removed" if self.small == "remove" else "merged into neighbours"
            words.append(f"objects under {self.min_size_px} px {done}")
        if self.fill_holes:
            words.append("holes filled")
        if self.grow != "none":
            bound = "" if self.grow_px is None else f" by up to {self.grow_px:g} px"
            words.append(f"grown {'to the nearest' if self.grow == 'nearest' else 'over the boundary'}{bound}")
        return "".join(f", {word}" for word in words)


def without_small(labels: Ids, min_size_px: int, landscape: Map | None, where: ObjectParameters) -> Ids:
    """Labels without objects of fewer pixels, which are background, or flooded by others where there is a landscape."""
    sizes = count_pixels(labels)
    dropped = sizes < min_size_px
    dropped[0] = False
    if not dropped[sizes > 0].any():
        return labels
    small = dropped[labels]
    kept = np.where(small, 0, labels).astype(np.uint32, copy=False)
    if landscape is None:
        return kept
    return flood(landscape, kept, small | (kept > 0), where.dimensions)


def without_holes(labels: Ids, dimensions: int) -> Ids:
    """Labels whose enclosed background has the id of the one object that encloses it.

    Background is connected across faces. It stays where two objects or the edge of the array (in 2D: of the slice)
    border on it.
    """
    empty = components(labels == 0, 1, dimensions)
    n = int(empty.max(initial=0))
    if n == 0:
        return labels
    low, high = np.full(n + 1, np.iinfo(np.uint32).max, np.uint32), np.zeros(n + 1, np.uint32)
    enclosed = np.ones(n + 1, bool)
    enclosed[0] = False
    for axis in range(3 - dimensions, 3):
        for region, ids in _facing_pairs(empty, labels, axis):
            np.minimum.at(low, region, ids)
            np.maximum.at(high, region, ids)
        enclosed[np.moveaxis(empty, axis, 0)[[0, -1]]] = False
    owner = np.where(enclosed & (low == high), low, 0).astype(np.uint32)
    return np.where(empty > 0, owner[empty], labels)


def _facing_pairs(empty: Ids, labels: Ids, axis: int) -> list[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
    """Ids of background regions and of the objects they face along an axis, both ways."""
    regions, objects = np.moveaxis(empty, axis, 0), np.moveaxis(labels, axis, 0)
    pairs = []
    for one, other in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
        facing = (regions[one] > 0) & (objects[other] > 0)
        pairs.append((regions[one][facing], objects[other][facing]))
    return pairs


def grown(labels: Ids, landscape: Map | None, where: ObjectParameters) -> Ids:
    """Labels grown over the pixels that have none: to the nearest, or on a landscape where there is one."""
    reached = np.ones(labels.shape, bool)
    if where.grow_px is not None:
        reached = distance_to(labels > 0, where.dimensions, where.anisotropy) <= where.grow_px
    if landscape is not None:
        return flood(landscape, labels, reached, where.dimensions)
    if where.dimensions == 3:
        return np.where(reached, _nearest(labels, (where.anisotropy, 1.0, 1.0)), 0)
    return np.stack(
        [np.where(near, _nearest(plane, (1.0, 1.0)), 0) for plane, near in zip(labels, reached, strict=True)]
    )


def _nearest(labels: Ids, voxel: tuple[float, ...]) -> Ids:
    from bioimage_cpp.distance import distance_transform

    if not labels.any() or labels.all():
        return labels
    indices = distance_transform(labels == 0, sampling=voxel, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(indices)], np.uint32)
