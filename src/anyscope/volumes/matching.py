"""Which objects of neighbouring blocks are one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import Roi
from anyscope.metrics import contingency
from anyscope.volumes.decoding import LEAST_IOU, BlockDecoding
from anyscope.volumes.grid import BlockGrid, Triple
from anyscope.volumes.plan import VolumePlan
from anyscope.volumes.storage import BlockStore

Ids = NDArray[np.int64]


class Matches(NamedTuple):
    """Pairs of objects of two blocks.

    Args:
        first_block: (k,) number of the earlier block.
        first: (k,) id in that block.
        second_block: (k,) number of the later one.
        second: (k,) id in that block.
        shared: (k,) voxels they share in the region that both decode; pairs of voxels that face each other where
            touching is enough.
        iou: (k,) their IoU there; NaN where touching is enough.
    """

    first_block: Ids
    first: Ids
    second_block: Ids
    second: Ids
    shared: Ids
    iou: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: list[Matches]) -> Matches:
        """One after the other."""
        none = np.zeros(0, np.int64)
        every = [cls(none, none, none, none, none, np.zeros(0)), *parts]
        return cls(**{name: np.concatenate([getattr(part, name) for part in every]) for name in cls._fields})


def match_block(plan: VolumePlan, number: int) -> Matches:
    """The objects that a block has in common with the neighbours that come after it."""
    decoding, grid = plan.decoding, plan.grid
    store = BlockStore(plan.folder, grid, decoding.linker is not None)
    parts = []
    for other, step in grid.later_neighbours(number):
        if not (store.has(number) and store.has(other)) or (decoding.dimensions == 2 and step[0]):
            continue
        if decoding.joining == "touching":
            first, second, shared, iou = _touching(store, grid, decoding, (number, other), step)
        else:
            first, second, shared, iou = _overlapping(store, grid, (number, other))
        blocks = (np.full(len(first), block, np.int64) for block in (number, other))
        parts.append(Matches(next(blocks), first, next(blocks), second, shared, iou))
    return Matches.joined(parts)


Pairs = tuple[Ids, Ids, Ids, NDArray[np.float64]]


def _touching(
    store: BlockStore, grid: BlockGrid, decoding: BlockDecoding, blocks: tuple[int, int], step: Triple
) -> Pairs:
    """Objects with voxels that are neighbours across a face, an edge or a corner of two cores."""
    if np.count_nonzero(step) > decoding.connectivity:
        return _counted(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    cores = [grid.block(number).core for number in blocks]
    layers = [_layer(cores[0], step), _layer(cores[1], _negative(step))]
    labels = [store.labels(number, layer) for number, layer in zip(blocks, layers, strict=True)]
    none = np.zeros(0, np.uint64)
    found = [(none, none)]
    for offset in _offsets(step, decoding):
        facing = layers[0].shift(offset).intersect(layers[1])
        if not facing.size:
            continue
        ours, theirs = (
            part[facing.shift(_negative(by)).shift(_negative(layer.start)).slices]
            for part, layer, by in zip(labels, layers, (offset, (0, 0, 0)), strict=True)
        )
        both = (ours > 0) & (theirs > 0)
        found.append((ours[both].astype(np.uint64), theirs[both].astype(np.uint64)))
    return _counted(*(np.concatenate(side) for side in zip(*found, strict=True)))


def _overlapping(store: BlockStore, grid: BlockGrid, blocks: tuple[int, int]) -> Pairs:
    """Objects that share more than :data:`LEAST_IOU` of their union in the inner half of the overlap of two blocks."""
    z, y, x = (-(-length // 2) for length in grid.overlap)
    whole = Roi.whole(grid.shape)
    seen = [grid.block(number).core.grow((z, y, x), whole) for number in blocks]
    region = seen[0].intersect(seen[1])
    if not region.size:
        return _counted(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    ours, theirs = (store.labels(number, region) for number in blocks)
    table = contingency(ours, theirs, threads=1)
    first, second = table.reference_ids[table.rows], table.prediction_ids[table.cols]
    # Background belongs to neither: unions are of objects as they are in this region.
    union = table.reference_sizes[table.rows] + table.prediction_sizes[table.cols] - table.counts
    iou = table.counts / union
    same = (first > 0) & (second > 0) & (iou > LEAST_IOU)
    return first[same].astype(np.int64), second[same].astype(np.int64), table.counts[same], iou[same]


def _counted(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> Pairs:
    pairs, counts = np.unique(np.stack([first, second], axis=1), axis=0, return_counts=True)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64), counts, np.full(len(pairs), np.nan)


def _layer(core: Roi, step: Triple) -> Roi:
    """The outermost voxels of a core on the side of ``step``."""
    start, stop = list(core.start), list(core.stop)
    for axis, by in enumerate(step):
        if by > 0:
            start[axis] = stop[axis] - 1
        elif by < 0:
            stop[axis] = start[axis] + 1
    return Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _offsets(step: Triple, decoding: BlockDecoding) -> Iterator[Triple]:
    """Where neighbours of a voxel lie, those that cross all faces that ``step`` crosses."""
    for z, y, x in product((-1, 0, 1), repeat=3):
        offset = (z, y, x)
        crosses = all(by == 0 or by == at for by, at in zip(step, offset, strict=True))
        if crosses and np.count_nonzero(offset) <= decoding.connectivity and (decoding.dimensions == 3 or z == 0):
            yield offset


def _negative(step: Triple) -> Triple:
    return -step[0], -step[1], -step[2]
