"""One writer for each format, found by suffix. Files appear whole or not at all, and hold what was given exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.geometry import VoxelSize
from anyscope.images.image import Image
from anyscope.images.names import suffix_of
from anyscope.images.writers.dtypes import convert, smallest_labels
from anyscope.images.writers.hdf5 import Hdf5Writer
from anyscope.images.writers.mrc import MrcWriter
from anyscope.images.writers.png import PngWriter
from anyscope.images.writers.tiff import OmeTiffWriter, TiffWriter
from anyscope.images.writers.writer import Writer
from anyscope.images.writers.zarr import ZarrWriter
from anyscope.registry import Registry

WRITERS: Registry[Writer] = Registry("output format")
for _writer in (TiffWriter(), OmeTiffWriter(), PngWriter(), Hdf5Writer(), MrcWriter(), ZarrWriter()):
    WRITERS.add(_writer.name, _writer)

__all__ = ["WRITERS", "Writer", "output_suffix", "write_image", "write_labels"]

_SAME_FORMAT = {"tiff": ".tif", "png": ".png", "jpeg": ".png", "hdf5": ".h5", "mrc": ".mrc", "zarr": ".ome.zarr"}


def write_image(path: str | os.PathLike[str], array: NDArray[Any], voxel_size_nm: VoxelSize | None = None) -> None:
    """Write an image in the format that the suffix names.

    Args:
        path: ``.tif``, ``.ome.tif``, ``.png`` (a single plane), ``.h5``, ``.mrc`` (one channel) or ``.ome.zarr``
            (version 0.5). A file that is there already is replaced once the new one is complete.
        array: (c, z, y, x).
        voxel_size_nm: Kept in the metadata where the format has a place for it.

    Raises:
        BadInput: An unknown suffix, or an image that the format cannot hold without loss.
    """
    if array.ndim != 4:
        raise ValueError(f"an image has axes (c, z, y, x), not {array.ndim} axes")
    _write(Path(path), array, voxel_size_nm, "image")


def write_labels(path: str | os.PathLike[str], array: NDArray[Any], voxel_size_nm: VoxelSize | None = None) -> None:
    """Write label ids or a mask (z, y, x) in the format that the suffix names.

    Integers of up to 32 bits keep their type where the format has it; bool becomes uint8, and 64-bit ids the smallest
    unsigned type that holds them.

    Raises:
        BadInput: As :func:`write_image`.
    """
    if array.ndim != 3:
        raise ValueError(f"labels have axes (z, y, x), not {array.ndim} axes")
    if array.dtype.kind not in "biu":
        raise ValueError(f"labels are integers or bool, not {array.dtype}")
    _write(Path(path), smallest_labels(array)[None], voxel_size_nm, "labels")


def output_suffix(image: Image) -> str:
    """The suffix for an output "in the input's format"; JPEG becomes PNG, since labels must not lose anything."""
    suffix = suffix_of(image.path) if ":" not in Path(image.path).name else ""
    if any(suffix in writer.suffixes for _, writer in WRITERS.items()):
        return suffix
    return _SAME_FORMAT[image.format]


def _write(path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:
    suffix = suffix_of(path)
    writers = {known: writer for _, writer in WRITERS.items() for known in writer.suffixes}
    if suffix not in writers:
        raise BadInput(
            path, f"no writer for {suffix or 'files without a suffix'}", f"one of {', '.join(sorted(writers))}"
        )
    if not array.size:
        raise BadInput(path, f"{what} of shape {array.shape} is empty", "pixels")
    writer = writers[suffix]
    array = convert(array.astype(array.dtype.newbyteorder("="), copy=False), writer.dtypes, path, what)
    try:
        writer.write(path, np.ascontiguousarray(array), voxel_size_nm, what)
    except MemoryError as error:
        raise EnvironmentFault(path, "not enough memory to write it", remedy="write smaller images") from error
