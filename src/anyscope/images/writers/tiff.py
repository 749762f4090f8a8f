"""TIFF with ImageJ or OME metadata, compressed with zlib, which every program reads. The same input, the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import VoxelSize
from anyscope.images.writers.writer import ALL, Writer
from anyscope.running.atomic import atomic_file

_IMAGEJ = ("u1", "u2", "f4")
_OME = ("b1", "i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8")
_IMAGEJ_BYTES = 2**31
_SOFTWARE = "anyscope"


class TiffWriter(Writer):
    """Plain names get ImageJ metadata where ImageJ has the type and OME metadata elsewhere."""

    name = "tiff"
    suffixes = (".tif", ".tiff")
    dtypes = ALL

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:  # noqa: ARG002
        kind = array.dtype.str[1:]
        # Lines of one pixel are left to OME: tifffile drops their axis from ImageJ files.
        plane = min(array.shape[-2:]) > 1
        if kind in _IMAGEJ and array.nbytes < _IMAGEJ_BYTES and plane:
            _write_imagej(path, array, voxel_size_nm)
        elif kind in _OME:
            _write_ome(path, array, voxel_size_nm)
        else:
            _write_shaped(path, array, voxel_size_nm)


class OmeTiffWriter(Writer):
    """``.ome.tif`` holds OME metadata, which know no 64-bit integers and no half floats."""

    name = "ome-tiff"
    suffixes = (".ome.tif", ".ome.tiff")
    dtypes = _OME

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:  # noqa: ARG002
        _write_ome(path, array, voxel_size_nm)


def _write_imagej(path: Path, array: NDArray[Any], voxel: VoxelSize | None) -> None:
    metadata: dict[str, Any] = {"axes": "ZCYX"}
    if voxel is not None:
        metadata["unit"] = "um"
        if voxel.z is not None:
            metadata["spacing"] = voxel.z / 1000
    _imwrite(path, array.transpose(1, 0, 2, 3), metadata, imagej=True, resolution=_per_um(voxel))


def _write_ome(path: Path, array: NDArray[Any], voxel: VoxelSize | None) -> None:
    # The format wants a UUID; one made of the content keeps the bytes reproducible.
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    metadata: dict[str, Any] = {"axes": "CZYX", "UUID": f"urn:uuid:{uuid}"}
    for letter in "zyx":
        size = getattr(voxel, letter) if voxel is not None else None
        if size is not None:
            metadata |= {f"PhysicalSize{letter.upper()}": size / 1000, f"PhysicalSize{letter.upper()}Unit": "µm"}
    _imwrite(path, array, metadata, ome=True)


def _write_shaped(path: Path, array: NDArray[Any], voxel: VoxelSize | None) -> None:
    metadata: dict[str, Any] = {"axes": "CZYX"}
    if voxel is not None:
        metadata |= {"unit": "um"} | ({"spacing": voxel.z / 1000} if voxel.z is not None else {})
    _imwrite(path, array, metadata, resolution=_per_um(voxel))


def _per_um(voxel: VoxelSize | None) -> tuple[float, float] | None:
    return None if voxel is None else (1000 / voxel.x, 1000 / voxel.y)


def _imwrite(path: Path, array: NDArray[Any], metadata: dict[str, Any], **options: Any) -> None:
    import tifffile

    if options.get("resolution") is None:
        options.pop("resolution", None)
    elif not options.get("imagej"):
        options["resolutionunit"] = "NONE"
    with atomic_file(path) as temporary:
        tifffile.imwrite(
            temporary,
            array,
            bigtiff=array.nbytes >= 2**32 - 2**25,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
            software=_SOFTWARE,
            **options,
        )
