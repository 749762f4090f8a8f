"""The contract of writers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from anyscope.geometry import VoxelSize


class Writer(ABC):
    """Writes one format. Its ``dtypes`` are those that a reader gets back unchanged, as ``np.dtype.str[1:]``."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    dtypes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:
        """Write (c, z, y, x), whole or not at all; ``what`` is ``image`` or ``labels``."""


ALL = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""bool, integers and floats of up to 64 bits."""
