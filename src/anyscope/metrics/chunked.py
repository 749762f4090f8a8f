"""Label images that are read piece by piece, so that volumes larger than memory can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import Roi

Read = Callable[[Roi], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ChunkedLabels:
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

    def __getitem__(self, planes: slice) -> NDArray[Any]:
        first, last, _ = planes.indices(self.shape[0])
        return self.read(Roi((first, 0, 0), (last, *self.shape[1:])))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ARG002
        whole = self.read(Roi.whole(self.shape))
        return whole if dtype is None else whole.astype(dtype)
