"""A check of global heaps, where HDF5 keeps strings of variable length.

libhdf5 (2.0 and before) loops forever over a heap whose free space has the size 0, as damage may leave it, and cannot
be interrupted. The heaps are therefore walked here first (HDF5 file format 3.0, section III.E).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from anyscope.errors import BadInput

_HEAD = 16
"""Bytes of the head of a heap and of an object, for files with 8-byte lengths."""


def check_heaps(path: Path) -> None:
    """Refuse a file with a global heap in which a walk over the objects does not advance."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"GCOL")
        while at >= 0:
            _check_heap(data, at, path)
            at = data.find(b"GCOL", at + 4)


def _check_heap(data: mmap.mmap, at: int, path: Path) -> None:
    if at + _HEAD > len(data) or data[at + 4] != 1:
        return  # not a heap, but pixels that happen to read so
    (size,) = struct.unpack_from("<Q", data, at + 8)
    end = min(at + size, len(data))
    position = at + _HEAD
    while position + _HEAD <= end:
        index, _, length = struct.unpack_from("<HH4xQ", data, position)
        if index == 0 and length < _HEAD:
            raise BadInput(path, "has a damaged heap of strings", remedy="copy or export it again")
        # The length of free space includes its head; that of an object does not, and is rounded up to 8.
        position += length if index == 0 else _HEAD + (length + 7) // 8 * 8
