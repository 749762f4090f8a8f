"""OME-Zarr 0.5: an image with one resolution."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images.names import stem_of
from anyscope.images.writers.writer import ALL, Writer
from anyscope.running.atomic import atomic_folder

_CHUNK = {"c": 1, "z": 16, "y": 256, "x": 256}


class ZarrWriter(Writer):
    """A Zarr 3 group with OME metadata and the array ``0``, packed with zstd."""

    name = "zarr"
    suffixes = (".ome.zarr", ".zarr")
    dtypes = ALL

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:  # noqa: ARG002
        import zarr
        from zarr.codecs import ZstdCodec

        if os.path.lexists(path) and not (path / "zarr.json").is_file():
            raise BadInput(path, "exists and is not a Zarr folder", remedy="choose another name, or remove it")
        axes = ("c" if array.shape[0] > 1 else "") + "zyx"
        data = array if array.shape[0] > 1 else array[0]
        with atomic_folder(path, replace=True) as temporary:
            group = zarr.open_group(store=str(temporary), mode="w", zarr_format=3)
            group.attrs["ome"] = ome_metadata(axes, voxel_size_nm, stem_of(path))
            stored = group.create_array(
                "0",
                shape=data.shape,
                dtype=data.dtype,
                chunks=tuple(min(_CHUNK[letter], length) for letter, length in zip(axes, data.shape, strict=True)),
                compressors=ZstdCodec(level=3),
                fill_value=np.zeros((), data.dtype).item(),
                dimension_names=list(axes),
                config={"write_empty_chunks": True},  # a missing chunk is then one that was lost
            )
            stored[...] = data


def ome_metadata(axes: str, voxel_size_nm: VoxelSize | None, name: str) -> dict[str, Any]:
    """The attribute ``ome`` of an image with one resolution (OME-Zarr specification 0.5, "multiscales").

    Args:
        axes: Letters of the array, such as ``"czyx"``.
        voxel_size_nm: Without it, scales are 1 and have no unit.
        name: Name of the image.
    """
    sizes = voxel_size_nm._asdict() if voxel_size_nm is not None else {}
    entries: list[dict[str, str]] = []
    for letter in axes:
        entry = {"name": letter, "type": "channel" if letter == "c" else "space"}
        if sizes.get(letter) is not None:
            entry["unit"] = "nanometer"
        entries.append(entry)
    scale = [float(sizes.get(letter) or 1.0) for letter in axes]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"version": "0.5", "multiscales": [{"name": name, "axes": entries, "datasets": [dataset]}]}
