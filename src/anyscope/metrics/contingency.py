"""How many pixels carry each pair of reference and predicted label: the one pass from which the scores follow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.metrics.chunked import ChunkedLabels

Ids = NDArray[np.uint64]
Sizes = NDArray[np.int64]
AnyLabels = Labels | NDArray[np.bool_]
Result = TypeVar("Result")

BLOCK_PIXELS = 1 << 17
DENSE_CELLS = 1 << 20
"""Largest table (cells of 8 bytes, one table per thread) that is counted densely; larger ones are hashed."""
MAX_THREADS = 8
TABLES_AT_ONCE = 32
"""Tables of boxes that are kept before they are added."""
SMALL_PIXELS = 1 << 18
"""Up to this size NumPy counts, in milliseconds; the compiled loops take a second to load in every new process."""


@dataclass(frozen=True, eq=False)
class Contingency:
    """The pairs of labels that occur, sorted by reference id, then prediction id. Label 0 is a label like any other.

    Args:
        reference_ids: (n,) uint64, increasing: the labels that the counted pixels of the reference have.
        reference_sizes: (n,) number of counted pixels of each.
        prediction_ids: (m,) uint64, increasing.
        prediction_sizes: (m,) number of counted pixels of each.
        rows: (k,) index into ``reference_ids`` of each pair.
        cols: (k,) index into ``prediction_ids`` of each pair.
        counts: (k,) number of pixels of each pair, at least 1.
    """

    reference_ids: Ids
    reference_sizes: Sizes
    prediction_ids: Ids
    prediction_sizes: Sizes
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    counts: Sizes

    @classmethod
    def of_pairs(cls, reference: Ids, prediction: Ids, counts: Sizes) -> Contingency:
        """From label pairs with their counts, in any order; equal pairs are added."""
        order = np.lexsort((prediction, reference))
        reference, prediction, counts = reference[order], prediction[order], counts[order]
        if counts.size:
            first = np.ones(counts.size, bool)
            first[1:] = (reference[1:] != reference[:-1]) | (prediction[1:] != prediction[:-1])
            starts = np.flatnonzero(first)
            reference, prediction, counts = reference[starts], prediction[starts], np.add.reduceat(counts, starts)
        reference_ids, rows = np.unique(reference, return_inverse=True)
        prediction_ids, cols = np.unique(prediction, return_inverse=True)
        reference_sizes = np.zeros(reference_ids.size, np.int64)
        prediction_sizes = np.zeros(prediction_ids.size, np.int64)
        np.add.at(reference_sizes, rows, counts)
        np.add.at(prediction_sizes, cols, counts)
        return cls(reference_ids, reference_sizes, prediction_ids, prediction_sizes, rows, cols, counts)

    @property
    def total(self) -> int:
        """Number of counted pixels."""
        return int(self.counts.sum())

    def without_reference(self, labels: Iterable[int]) -> Contingency:
        """The pixels whose reference label is none of ``labels``."""
        return self._keep(~np.isin(self.reference_ids, _ids(labels))[self.rows])

    def without_prediction(self, labels: Iterable[int]) -> Contingency:
        """The pixels whose predicted label is none of ``labels``."""
        return self._keep(~np.isin(self.prediction_ids, _ids(labels))[self.cols])

    def _keep(self, pairs: NDArray[np.bool_]) -> Contingency:
        if pairs.all():
            return self
        rows, cols = self.rows[pairs], self.cols[pairs]
        return Contingency.of_pairs(self.reference_ids[rows], self.prediction_ids[cols], self.counts[pairs])


def merge(tables: Iterable[Contingency]) -> Contingency:
    """Add the contingencies of chunks of one volume, whose ids mean the same in all of them.

    >>> halves = [contingency(np.array([1, 1]), np.array([0, 2])), contingency(np.array([1]), np.array([2]))]
    >>> merge(halves).counts.tolist()
    [1, 2]
    """
    parts = list(tables)
    reference = [part.reference_ids[part.rows] for part in parts]
    prediction = [part.prediction_ids[part.cols] for part in parts]
    counts = [part.counts for part in parts]
    if not parts:
        return Contingency.of_pairs(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
    return Contingency.of_pairs(np.concatenate(reference), np.concatenate(prediction), np.concatenate(counts))


def contingency(
    reference: AnyLabels | ChunkedLabels,
    prediction: AnyLabels | ChunkedLabels,
    ignore: Iterable[int] = (),
    valid: NDArray[np.bool_] | None = None,
    threads: int | None = None,
) -> Contingency:
    """Count the pixels of every pair of reference and predicted label, in one pass over runs of equal pairs.

    Neither array is copied, whatever its dtype or memory layout; the extra memory is that of the tables.

    Args:
        reference: Labels of any shape, bool or integers of at least 0.
        prediction: Labels of the same shape.
        ignore: Reference labels whose pixels are not scored, whatever is predicted there.
        valid: Mask of the same shape; pixels where it is False are not counted.
        threads: At most so many threads; by default one for each processor, up to 8.

    Raises:
        BadInput: Shapes differ, labels are not integers, or one is negative.

    >>> table = contingency(np.array([0, 1, 1, 2]), np.array([0, 7, 7, 0]))
    >>> table.reference_ids[table.rows].tolist(), table.prediction_ids[table.cols].tolist(), table.counts.tolist()
    ([0, 1, 2], [0, 7, 0], [1, 2, 1])
    """
    if isinstance(reference, ChunkedLabels) and isinstance(prediction, ChunkedLabels) and valid is None:
        return _box_by_box(reference, prediction, ignore, threads)
    reference, prediction = np.asarray(reference), np.asarray(prediction)
    arrays = [_unsigned(reference, "reference labels"), _unsigned(prediction, "predicted labels")]
    if valid is not None:
        if np.asarray(valid).dtype != np.bool_:
            raise BadInput("valid mask", f"values of type {np.asarray(valid).dtype}", "bool")
        arrays.append(np.asarray(valid))
    for name, array in zip(("predicted labels", "valid mask"), arrays[1:], strict=False):
        if array.shape != arrays[0].shape:
            raise BadInput(name, f"shape {array.shape}", f"that of the reference, {arrays[0].shape}")
    arrays = _flat_where_possible(arrays)
    workers = _worker_count(threads, arrays[0].size)
    highest = [
        _highest(array, np.asarray(labels).dtype, name, workers)
        for array, labels, name in zip(arrays, (reference, prediction), ("reference", "predicted"), strict=False)
    ]
    return _count(arrays, highest, workers).without_reference(ignore)


def _box_by_box(
    reference: ChunkedLabels, prediction: ChunkedLabels, ignore: Iterable[int], threads: int | None
) -> Contingency:
    """The same of volumes that are read piece by piece, a few tables in memory at a time."""
    if reference.shape != prediction.shape:
        raise BadInput("predicted labels", f"shape {prediction.shape}", f"that of the reference, {reference.shape}")
    ignored, parts = tuple(ignore), [merge([])]
    for box in reference.boxes():
        parts.append(contingency(reference.read(box), prediction.read(box), ignored, threads=threads))
        if len(parts) > TABLES_AT_ONCE:
            parts = [merge(parts)]
    return merge(parts)


def _ids(labels: Iterable[int]) -> Ids:
    return np.array([label for label in labels if label >= 0], np.uint64)


def _unsigned(labels: AnyLabels, name: str) -> NDArray[Any]:
    """The same memory seen as unsigned integers of the same width, in which a negative label becomes a huge one."""
    array = np.atleast_1d(np.asarray(labels))
    if array.dtype.kind not in "biu":
        raise BadInput(name, f"values of type {array.dtype}", "integers (label ids)", "convert them on purpose first")
    return array.view(np.dtype(f"{array.dtype.byteorder}u{array.dtype.itemsize}".replace("|", "")))


def _flat_where_possible(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Views with the axes in the order of the first array's memory, one-dimensional where all are contiguous then."""
    order = np.argsort([-abs(stride) for stride in arrays[0].strides], kind="stable")
    views = [array.transpose(order) for array in arrays]
    return [view.reshape(-1) for view in views] if all(view.flags.c_contiguous for view in views) else views


def _worker_count(threads: int | None, pixels: int) -> int:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = min(processors, MAX_THREADS) if threads is None else threads
    return max(1, min(wanted, pixels // (2 * BLOCK_PIXELS)))


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most BLOCK_PIXELS pixels that cover ``shape`` once, long along the last axes."""
    inner = int(np.prod(shape[1:], dtype=np.int64))
    if inner <= BLOCK_PIXELS:
        step = max(1, BLOCK_PIXELS // max(inner, 1))
        for start in range(0, shape[0] if inner else 0, step):
            yield (slice(start, start + step),)
        return
    for start in range(shape[0]):
        for rest in _blocks(shape[1:]):
            yield (slice(start, start + 1), *rest)


def _highest(array: NDArray[Any], stored: np.dtype[Any], name: str, workers: int) -> int:
    """Largest label, after a check that none is negative."""
    if array.size == 0:
        return 0
    if stored.kind == "b":
        return 1
    if stored == np.uint8:
        return 255
    blocks = iter(list(_blocks(array.shape)))

    def largest(_: int) -> int:
        return max((int(array[block].max()) for block in blocks), default=0)

    highest = max(_run(largest, workers))
    if stored.kind == "i" and highest > int(np.iinfo(stored).max):
        raise BadInput(f"{name} labels", "negative values", "integers of at least 0")
    return highest


def _run(task: Callable[[int], Result], workers: int) -> list[Result]:
    """What ``task`` returns in each of so many threads."""
    if workers == 1:
        return [task(0)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(task, range(workers)))


def _count(arrays: Sequence[NDArray[Any]], highest: Sequence[int], workers: int) -> Contingency:
    dense = (highest[0] + 1) * (highest[1] + 1) <= DENSE_CELLS
    if arrays[0].size <= SMALL_PIXELS:
        return _count_small(arrays, highest[1] + 1 if dense else None)
    return _count_runs(arrays, highest, dense, workers)


def _count_small(arrays: Sequence[NDArray[Any]], width: int | None) -> Contingency:
    """Count with NumPy alone: in a table of so many columns, or by sorting where the table would be large."""
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    reference, prediction = (labels[flat[2]] if len(flat) == 3 else labels for labels in flat[:2])
    reference, prediction = reference.astype(np.uint64), prediction.astype(np.uint64)
    if width is None:
        return Contingency.of_pairs(reference, prediction, np.ones(reference.size, np.int64))
    cells = np.bincount(reference.astype(np.int64) * width + prediction.astype(np.int64))
    pairs = np.flatnonzero(cells)
    return Contingency.of_pairs((pairs // width).astype(np.uint64), (pairs % width).astype(np.uint64), cells[pairs])


def _count_runs(arrays: Sequence[NDArray[Any]], highest: Sequence[int], dense: bool, workers: int) -> Contingency:
    """Count with one table per worker, which take the blocks as they come, and add the tables."""
    from anyscope.metrics import runs

    dtype = np.dtype(np.uint32 if max(highest) < 2**32 else np.uint64)
    blocks = iter(list(_blocks(arrays[0].shape)))

    def work(_: int) -> Contingency:
        buffers = [np.empty(BLOCK_PIXELS, kind) for kind in (dtype, dtype, np.dtype(bool))]
        cells = np.zeros((highest[0] + 1, highest[1] + 1) if dense else (0, 0), np.int64)
        table, used = runs.free_table(), 0
        for block in blocks:
            flat = [_flat(array[block], buffer) for array, buffer in zip(arrays, buffers, strict=False)]
            mask = flat[2] if len(flat) == 3 else None
            if dense:
                runs.count_dense(flat[0], flat[1], mask, cells)
            else:
                table, used = runs.count_hashed(flat[0], flat[1], mask, table, used)
        if dense:
            rows, cols = np.nonzero(cells)
            return Contingency.of_pairs(rows.astype(np.uint64), cols.astype(np.uint64), cells[rows, cols])
        table = table[table[:, 2] > 0]
        return Contingency.of_pairs(table[:, 0], table[:, 1], table[:, 2].astype(np.int64))

    return merge(_run(work, workers))


def _flat(block: NDArray[Any], buffer: NDArray[Any]) -> NDArray[Any]:
    """The block as a flat native array of the buffer's dtype: itself where it is one, else a copy in the buffer."""
    if block.dtype == buffer.dtype and block.flags.c_contiguous:
        return block.reshape(-1)
    copy = buffer[: block.size]
    np.copyto(copy.reshape(block.shape), block, casting="unsafe")
    return copy
