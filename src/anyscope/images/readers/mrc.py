"""MRC, the format of electron tomography: a header of 1024 bytes and an array (z, y, x), mapped into memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.images.stored import Array, Box, Location, Reader, Stored

_WARNINGS = threading.Lock()
"""Filters of warnings are global to the process."""


class MrcReader(Reader):
    """MRC2014 files, through mrcfile; sizes of cells are in Angstrom."""

    name = "mrc"
    suffixes = (".mrc", ".map", ".rec", ".st", ".ali", ".preali")

    def recognises(self, head: bytes) -> bool:
        return len(head) >= 212 and (
            head[208:211] == b"MAP" or head[212:214] in (b"\x44\x44", b"\x44\x41", b"\x11\x11")
        )

    def errors(self) -> tuple[type[Exception], ...]:
        return ValueError, OSError, TypeError, KeyError, OverflowError, RuntimeWarning

    def find(self, location: Location) -> Stored:
        with _mapped(location.path) as mrc:
            data = mrc.data
            if data is None:
                raise ValueError("the header does not describe an array that fits the file")
            letters = {2: "yx", 3: "zyx"}.get(data.ndim)
            sizes = {letter: float(mrc.voxel_size[letter]) * 0.1 for letter in "zyx"}
            return Stored(data.shape, data.dtype, letters, sizes)

    def load(self, location: Location, stored: Stored, box: Box) -> Array:  # noqa: ARG002
        with _mapped(location.path) as mrc:
            array: Array = np.array(mrc.data[box])
            return array


@contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """The file in memory; whatever mrcfile would only warn of is an error."""
    import mrcfile

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        mrc = mrcfile.mmap(path, mode="r")
    with mrc:
        yield mrc
