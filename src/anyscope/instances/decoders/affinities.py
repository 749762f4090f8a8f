"""Affinities: which channel links which pixels, and the regions that links connect.

Channel k says whether a pixel p and the one at p + ``offsets[k]`` (dz, dy, dx) are in the same object. Offsets of
length 1 link neighbours; longer ones see past a boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Offset
from anyscope.errors import BadInput
from anyscope.images.components import Ids, Mask
from anyscope.instances.decoders.regions import Map
from anyscope.instances.maps import Maps

_AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Channels:
    """The channels of an affinity map by what they link.

    Args:
        near: Channels whose offset has length 1.
        far: The others.
    """

    near: tuple[int, ...]
    far: tuple[int, ...]


def channels_of(decoder: str, offsets: Sequence[Offset], dimensions: int) -> Channels:
    """The channels that link pixels of the same slice (2D) or all (3D).

    Raises:
        BadInput: An offset leads nowhere, or there are no neighbours along one of the axes.
    """
    subject = f"decoder {decoder!r}, offsets"
    used = [k for k, offset in enumerate(offsets) if dimensions == 3 or offset[0] == 0]
    near = tuple(k for k in used if sum(map(abs, offsets[k])) == 1)
    missing = [_AXES[axis] for axis in range(3 - dimensions, 3) if not any(offsets[k][axis] for k in near)]
    if missing:
        raise BadInput(subject, f"no neighbours along {', '.join(missing)}", f"offsets of length 1 for {dimensions}D")
    if any(not any(offset) for offset in offsets):
        raise BadInput(subject, "(0, 0, 0) among them", "offsets that lead to another pixel")
    return Channels(near, tuple(k for k in used if k not in near))


def check_affinities(decoder: str, offsets: Sequence[Offset], maps: Maps) -> None:
    """Refuse maps without affinities, or with more or fewer channels than there are offsets."""
    if "affinities" not in maps:
        raise BadInput(f"decoder {decoder!r}", f"heads {', '.join(maps)}", "affinities beside the mask")
    found = len(maps["affinities"])
    if found != len(offsets):
        subject, expected = f"decoder {decoder!r}, offsets", "one offset for each"
        raise BadInput(subject, f"{len(offsets)} offsets for {found} channels", expected, "give those it learned from")


def neighbour_links(affinities: Map, offsets: Sequence[Offset], channels: Channels, dimensions: int) -> Map:
    """Affinity of each pixel with the next one along each axis: (dimensions, z, y, x), 0 beyond the edge.

    Channels of both directions along an axis are averaged.
    """
    links = np.zeros((dimensions, *affinities.shape[1:]), np.float32)
    for row, axis in enumerate(range(3 - dimensions, 3)):
        along = [k for k in channels.near if offsets[k][axis]]
        first, second = _neighbours(axis)
        for k in along:
            source = first if offsets[k][axis] > 0 else second
            links[row][first] += affinities[k][source] / np.float32(len(along))
    return links


def _neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The pixels that have a next one along an axis, and these next ones."""
    first, second = [slice(None)] * 3, [slice(None)] * 3
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    return tuple(first), tuple(second)


def cut_boundary(links: Map) -> Map:
    """How much of a boundary each pixel is (z, y, x): 1 - its weakest link.

    The mean of all links is common, but a pixel at a straight boundary has a single cut link, a quarter of them in 2D
    and a sixth in 3D.
    """
    dimensions = len(links)
    weakest = np.ones(links.shape[1:], np.float32)
    for row, axis in enumerate(range(3 - dimensions, 3)):
        first, second = _neighbours(axis)
        inside = links[row][first]
        weakest[first] = np.minimum(weakest[first], inside)
        weakest[second] = np.minimum(weakest[second], inside)
    return 1 - weakest


def held_together(labels: Ids, links: Map, least_affinity: float, dimensions: int) -> Ids:
    """Labels (z, y, x) in the parts that neighbours linked above ``least_affinity`` hold together, 1..n."""
    import cc3d

    mask, graph = labels > 0, np.zeros(labels.shape, np.uint8)
    for row, axis in enumerate(range(3 - dimensions, 3)):
        first, second = _neighbours(axis)
        both = mask[first] & (labels[first] == labels[second]) & (links[row][first] > least_affinity)
        # cc3d's bit 2k is the way up along axis k of the array it gets, bit 2k + 1 the way down.
        graph[first] |= both.astype(np.uint8) << np.uint8(2 * row)
        graph[second] |= both.astype(np.uint8) << np.uint8(2 * row + 1)
    if dimensions == 3:
        return _numbered(cc3d.color_connectivity_graph(graph, connectivity=6), mask, 0)
    labels, n = np.empty(mask.shape, np.uint32), 0
    for z in range(len(graph)):
        labels[z] = _numbered(cc3d.color_connectivity_graph(graph[z], connectivity=4), mask[z], n)
        n = max(n, int(labels[z].max(initial=0)))
    return labels


def _numbered(labels: NDArray[Any], mask: Mask, first: int) -> Ids:
    """Regions of the mask numbered from ``first`` + 1: every pixel outside it is a region of its own before."""
    present = np.zeros(int(labels.max(initial=0)) + 1, bool)
    present[labels[mask]] = True
    numbers = (np.cumsum(present) + first).astype(np.uint32)
    return np.where(mask, numbers[labels], np.uint32(0))
