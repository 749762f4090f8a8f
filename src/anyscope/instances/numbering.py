"""Numbers of objects: consecutive, in the smallest type that holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from anyscope.contracts import Labels


def smallest_dtype(largest: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned type that holds ids up to ``largest``.

    >>> smallest_dtype(255), smallest_dtype(256), smallest_dtype(65536)
    (dtype('uint8'), dtype('uint16'), dtype('uint32'))
    """
    return np.min_scalar_type(max(0, int(largest)))


def compact(labels: Labels, min_size_px: int = 1, dtype: DTypeLike | None = None) -> Labels:
    """Number the objects 1..n in the order of their ids, leaving out those smaller than ``min_size_px``.

    Args:
        labels: Ids of any shape, none negative, 0 background. The largest id should not be far above the number of
            objects: time and memory grow with it.
        min_size_px: Objects of fewer pixels become background.
        dtype: Type of the result; the smallest unsigned one that fits where None.

    >>> compact(np.array([0, 3, 3, 7, 9, 9]), min_size_px=2)
    array([0, 1, 1, 0, 2, 2], dtype=uint8)
    """
    sizes = count_pixels(labels)
    kept = sizes >= max(1, min_size_px)
    kept[:1] = False
    n = int(np.count_nonzero(kept))
    numbers = np.where(kept, np.cumsum(kept), 0).astype(dtype or smallest_dtype(n))
    return np.asarray(numbers[labels])


def count_pixels(labels: Labels) -> NDArray[np.int64]:
    """Pixels of each id, 0 included: entry i counts id i. One plane is in memory at a time, not a wider copy of all."""
    largest = int(labels.max(initial=0))
    sizes = np.zeros(largest + 1, np.int64)
    for plane in labels if labels.ndim > 2 else (labels,):
        counts = np.bincount(plane.ravel().astype(np.intp, copy=False))
        sizes[: len(counts)] += counts
    return sizes


def consecutive(labels: Labels) -> NDArray[np.uint32]:
    """Ids in a type in which the largest + 1 does not wrap; wide ones are numbered 1..n. 0 stays 0.

    >>> consecutive(np.array([0, 2**40, 7, 7]))
    array([0, 1, 2, 2], dtype=uint32)
    """
    if labels.dtype.itemsize > 2:
        import fastremap

        labels, _ = fastremap.renumber(labels, preserve_zero=True)
    return np.ascontiguousarray(labels, np.uint32)
