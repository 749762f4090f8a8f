"""Label images that are read piece by piece, so that volumes larger than memory can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from anyscope.geometry import Roi

Read = Callable[[Roi], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ChunkedLabels(NDArrayOperatorsMixin):
    """Labels (z, y, x) that look like an array to a protocol: what counts pairs of labels reads them in boxes; slices
    are read one at a time; anything else reads them whole, as if they were an array.

    Args:
        shape: (z, y, x).
        dtype: What ``read`` gives.
        read: Labels of a box.
        box: What is read at once; a multiple of the chunks of the file is quickest.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Read
    box: tuple[int, int, int] = (32, 1024, 1024)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def boxes(self) -> Iterator[Roi]:
        """Boxes that cover the volume once."""
        whole = Roi.whole(self.shape)
        for z, y, x in product(*(range(0, n, step) for n, step in zip(self.shape, self.box, strict=True))):
            yield Roi((z, y, x), (z + self.box[0], y + self.box[1], x + self.box[2])).intersect(whole)

    @cached_property
    def _largest(self) -> int:
        return max(int(self.read(box).max()) for box in self.boxes())

    def max(self) -> int:
        """The largest label."""
        return self._largest

    def min(self) -> int:
        """The smallest label."""
        return min(int(self.read(box).min()) for box in self.boxes())

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Slices along each axis, or the number of a plane; everything else as of an array."""
        parts = index if isinstance(index, tuple) else (index,)
        if len(parts) > 3 or not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
            return np.asarray(self[index : index + 1][0] if isinstance(index, int) else np.asarray(self)[index])
        every = [*parts, *(slice(None) for _ in range(3 - len(parts)))]
        first, last = zip(*(part.indices(n)[:2] for part, n in zip(every, self.shape, strict=True)), strict=True)
        return self.read(Roi(first, tuple(max(a, b) for a, b in zip(first, last, strict=True))))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[z] for z in range(self.shape[0]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self.read(Roi.whole(self.shape))
        return whole if dtype is None else whole.astype(dtype)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **given: Any) -> Any:
        arrays = [np.asarray(each) if isinstance(each, ChunkedLabels) else each for each in inputs]
        return getattr(function, method)(*arrays, **given)
