"""HDF5: one compressed data set with its axes and voxel size as attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.geometry import VoxelSize
from anyscope.images.writers.writer import ALL, Writer
from anyscope.running.atomic import atomic_file

_CHUNK = (1, 16, 256, 256)


class Hdf5Writer(Writer):
    """The data set ``/image`` or ``/labels``, with the attributes ``axes`` and ``element_size_um`` (z, y, x)."""

    name = "hdf5"
    suffixes = (".h5", ".hdf5")
    dtypes = ALL

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:
        import h5py

        channels = array.shape[0] > 1
        data = array if channels else array[0]
        chunks = tuple(min(a, b) for a, b in zip(_CHUNK[-data.ndim :], data.shape, strict=True))
        # Built in memory and written by Python: where a disk is full, libhdf5 would end the process.
        with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
            dataset = file.create_dataset(what, data=data, chunks=chunks, compression="gzip", compression_opts=1)
            dataset.attrs["axes"] = np.bytes_("czyx" if channels else "zyx")  # of fixed length: no heap to damage
            if voxel_size_nm is not None:
                known = [size for size in voxel_size_nm if size is not None]
                dataset.attrs["element_size_um"] = [size / 1000 for size in known]
            file.flush()
            content = file.id.get_file_image()
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
