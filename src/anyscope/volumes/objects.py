"""Objects of blocks in numbers that can be added, and the table of the objects of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.geometry import VoxelSize

Whole = NDArray[np.int64]

_ABSENT = np.iinfo(np.int64).max
_ROWS = 1 << 18


@dataclass(frozen=True, eq=False)
class ObjectSums:
    """One row for each object; what is sums, counts, first or last can be joined from parts.

    Args:
        first: (n,) place of the first voxel in raster order z, y, x of the volume.
        voxels: (n,) how many; 0 where an object is seen in a block, but none of it is the block's own.
        start: (n, 3) bounding box.
        stop: (n, 3) its end, exclusive.
        moments: (n, 3) sums of z, y and x over the voxels.
        probability: (n,) sum of the foreground probability; NaN where it is not known.
    """

    first: Whole
    voxels: Whole
    start: Whole
    stop: Whole
    moments: Whole
    probability: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def save(self, path: Path) -> None:
        """Write them to a file."""
        whole = np.column_stack([self.first, self.voxels, self.start, self.stop, self.moments])
        np.save(path, np.column_stack([whole, self.probability.view(np.int64)]))

    @classmethod
    def load(cls, path: Path) -> ObjectSums:
        """The inverse of :meth:`save`."""
        rows = np.load(path)
        columns = (rows[:, 0], rows[:, 1], rows[:, 2:5], rows[:, 5:8], rows[:, 8:11])
        return cls(*columns, np.ascontiguousarray(rows[:, 11]).view(np.float64))

    @classmethod
    def joined(cls, parts: list[ObjectSums]) -> ObjectSums:
        """One after the other."""
        every = [empty(0), *parts]
        return cls(**{name: np.concatenate([vars(part)[name] for part in every]) for name in vars(every[0])})

    def grouped(self, groups: Whole, n: int) -> ObjectSums:
        """The sums of ``n`` groups, of which every object has one; those of group -1 are left out.

        Parts are added in their order, so that sums of floats are the same every time.
        """
        kept = np.flatnonzero((groups >= 0) & (self.voxels > 0))
        order = kept[np.argsort(groups[kept], kind="stable")]
        found, starts = np.unique(groups[order], return_index=True)
        result = empty(n)
        if order.size:
            result.first[found] = np.minimum.reduceat(self.first[order], starts)
            result.start[found] = np.minimum.reduceat(self.start[order], starts)
            result.stop[found] = np.maximum.reduceat(self.stop[order], starts)
            for name in ("voxels", "moments", "probability"):
                vars(result)[name][found] = np.add.reduceat(vars(self)[name][order], starts)
        return result


def empty(n: int) -> ObjectSums:
    """``n`` objects without voxels."""
    return ObjectSums(
        np.full(n, _ABSENT),
        np.zeros(n, np.int64),
        np.full((n, 3), _ABSENT),
        np.zeros((n, 3), np.int64),
        np.zeros((n, 3), np.int64),
        np.zeros(n),
    )


def measure(
    labels: Labels,
    n: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    probability: NDArray[np.float32] | None,
) -> ObjectSums:
    """Objects 1..n of a region of a volume.

    Args:
        labels: Ids (z, y, x); some may not occur.
        n: The largest id there may be.
        start: Where the region starts in the volume.
        shape: The volume.
        probability: Foreground probability of the region.
    """
    import cc3d

    found = empty(n + 1)
    if not n:
        return ObjectSums(**{name: values[1:] for name, values in vars(found).items()})
    _, height, width = shape
    known = cc3d.statistics(labels, no_slice_conversion=True)
    counts = known["voxel_counts"].astype(np.int64)
    present = np.flatnonzero(counts)
    counts = counts[present]
    boxes = known["bounding_boxes"].astype(np.int64).reshape(-1, 3, 2)[present]
    found.voxels[present] = counts
    found.start[present], found.stop[present] = boxes[..., 0] + start, boxes[..., 1] + 1 + start
    # Centroids are sums divided by counts: the sums are whole numbers far below 2**53, so this is exact.
    sums = np.rint(known["centroids"][present] * counts[:, None]).astype(np.int64)
    found.moments[present] = sums + np.array(start) * counts[:, None]
    ys, xs = (np.arange(length) + first for length, first in zip(labels.shape[1:], start[1:], strict=True))
    place = (ys[:, None] * width + xs[None, :]).ravel()
    for z, plane in enumerate(labels):
        flat = plane.ravel()
        inside = np.flatnonzero(flat)
        ids = flat[inside].astype(np.intp)
        here = np.full(n + 1, _ABSENT)
        here[ids[::-1]] = place[inside[::-1]] + (z + start[0]) * height * width  # the last writing stays
        np.minimum(found.first, here, out=found.first)
        if probability is not None:
            found.probability[:] += np.bincount(ids, probability[z].ravel()[inside], n + 1)
    if probability is None:
        found.probability[:] = np.nan
    return ObjectSums(**{name: values[1:] for name, values in vars(found).items()})


def write_volume_table(path: Path, objects: ObjectSums, shape: tuple[int, int, int], voxel: VoxelSize | None) -> None:
    """Write the table of objects 1..n as Parquet or CSV, some rows at a time; columns as in
    :func:`anyscope.inference.object_table`."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    from anyscope.inference.table import table_of_sums
    from anyscope.running.atomic import atomic_file

    def rows(first: int) -> pa.Table:
        part = slice(first, min(len(objects), first + _ROWS))
        known = objects.probability[part]
        return table_of_sums(
            np.arange(part.start + 1, part.stop + 1, dtype=np.uint64),
            objects.start[part],
            objects.stop[part],
            objects.voxels[part],
            objects.moments[part] / np.maximum(objects.voxels[part], 1)[:, None],
            None if np.isnan(known).all() else known,
            shape,
            voxel,
        )

    table = rows(0)
    with atomic_file(path) as temporary:
        writing = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
        with writing(temporary, table.schema) as writer:
            for first in range(0, max(1, len(objects)), _ROWS):
                writer.write_table(table if first == 0 else rows(first))
