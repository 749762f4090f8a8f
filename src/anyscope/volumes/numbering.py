"""From objects of blocks to those of the volume: who is joined, who is left out, and what each is called.

Ids are 1.. in the order of the objects' first voxels (raster order z, y, x of the volume). So they do not depend on the
order in which blocks were done, nor on who did them; and where joining is exact, not on the size of blocks either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.geometry import Roi
from anyscope.instances import Linker
from anyscope.volumes.decoding import BlockDecoding
from anyscope.volumes.matching import Matches
from anyscope.volumes.objects import ObjectSums
from anyscope.volumes.storage import BlockStore

_NUMBERS, _STARTS = "numbers.npy", "starts.npy"
_ROWS = 1 << 20


@dataclass(frozen=True, eq=False)
class GlobalNumbers:
    """The id in the volume of every object of every block; 0 for those that are left out.

    Args:
        starts: (blocks + 1,) where each block's objects begin.
        numbers: Ids, block after block.
    """

    starts: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def table(self, block: int) -> NDArray[np.int64]:
        """Ids by the id within a block, 0 for 0."""
        part = self.numbers[int(self.starts[block]) : int(self.starts[block + 1])]
        return np.concatenate([[0], part])

    def save(self, folder: Path) -> None:
        """Keep them where workers find them."""
        np.save(folder / _NUMBERS, self.numbers)
        np.save(folder / _STARTS, self.starts)

    @classmethod
    def load(cls, folder: Path) -> GlobalNumbers:
        """The inverse of :meth:`save`; nothing is read before it is asked for."""
        return cls(np.load(folder / _STARTS, mmap_mode="r"), np.load(folder / _NUMBERS, mmap_mode="r"))


def number_objects(
    store: BlockStore, decoding: BlockDecoding, objects: list[ObjectSums], matches: Matches
) -> tuple[GlobalNumbers, ObjectSums]:
    """The ids of all objects, and the objects of the volume in their order.

    Args:
        store: The blocks, which a linker reads slice by slice.
        decoding: What is done with objects once they are whole.
        objects: Of each block.
        matches: Which of them are one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = np.concatenate([[0], np.cumsum([len(one) for one in objects])]).astype(np.int64)
    every = ObjectSums.joined(objects)
    n = len(every)
    groups = np.zeros(0, np.int64)
    if n:
        first = starts[matches.first_block] + matches.first - 1
        second = starts[matches.second_block] + matches.second - 1
        graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n)).tocsr()
        groups = connected_components(graph, directed=False)[1].astype(np.int64)
    whole = every.grouped(groups, int(groups.max(initial=-1)) + 1)
    groups = np.where(whole.voxels[groups] >= max(1, decoding.min_size_px), groups, -1)
    if decoding.linker is not None:
        groups = _linked(decoding.linker, store, starts, groups)
        whole = every.grouped(groups, int(groups.max(initial=-1)) + 1)
    kept = np.unique(groups[groups >= 0])
    kept = kept[np.argsort(whole.first[kept], kind="stable")]
    numbers = np.zeros(len(whole) + 1, np.int64)  # the last one is for group -1
    numbers[kept] = np.arange(1, len(kept) + 1)
    ordered = replace(whole, **{name: values[kept] for name, values in vars(whole).items()})
    return GlobalNumbers(starts, numbers[groups]), ordered


def _linked(
    linker: Linker, store: BlockStore, starts: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Groups of the objects of slices, once these are linked."""
    numbering = linker.number(_planes(store, GlobalNumbers(starts, groups + 1)))
    linked = np.full(int(groups.max(initial=-1)) + 2, -1, np.int64)
    linked[numbering.tables.ids.astype(np.int64) - 1] = numbering.numbers - 1
    return np.where(groups >= 0, linked[groups], -1)


def _planes(store: BlockStore, numbers: GlobalNumbers) -> Iterator[Labels]:
    """The slices of the volume (y, x), one at a time."""
    depth, height, width = store.grid.shape
    for z in range(depth):
        yield assemble(store, numbers, Roi((z, 0, 0), (z + 1, height, width)), np.dtype(np.uint32))[0]


def assemble(
    store: BlockStore, numbers: GlobalNumbers | None, region: Roi, dtype: np.dtype[np.unsignedinteger]
) -> Labels:
    """Labels of a region of the volume (z, y, x), from the cores of the blocks that it meets.

    Args:
        store: The blocks.
        numbers: Ids in the volume; None where labels mean the same in all blocks.
        region: The region.
        dtype: Type of the result.
    """
    labels = np.zeros(region.shape, dtype)
    z, y, x = (-first for first in region.start)
    for number in store.grid.meeting(region):
        if store.has(number):
            part = store.grid.block(number).core.intersect(region)
            found = store.labels(number, part)
            labels[part.shift((z, y, x)).slices] = (
                found if numbers is None else numbers.table(number).astype(dtype)[found]
            )
    return labels


def write_equivalences(folder: Path, numbers: GlobalNumbers, objects: list[ObjectSums], matches: Matches) -> None:
    """Keep how objects of the volume came about, for whoever wants to inspect a merge.

    ``equivalences.parquet``: for each object of each block its id there, its id in the volume (0: left out), and its
    voxels within the core. ``matches.parquet``: the pairs that were found to be one, and by how much.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from anyscope.running.atomic import atomic_file

    counts = np.diff(numbers.starts)
    block = np.repeat(np.arange(len(counts)), counts)
    own = np.arange(len(block)) - np.repeat(numbers.starts[:-1], counts) + 1
    voxels = ObjectSums.joined(objects).voxels
    equivalences = pa.table({"id": numbers.numbers, "block": block, "id_in_block": own, "voxels": voxels})
    names = ("block", "id_in_block", "other_block", "id_in_other", "shared", "iou")
    pairs = pa.table(dict(zip(names, matches, strict=True)))
    for name, table in (("equivalences", equivalences), ("matches", pairs)):
        with atomic_file(folder / f"{name}.parquet") as temporary:
            parquet.write_table(table, temporary, row_group_size=_ROWS)
