"""MRC: one channel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images.writers.writer import Writer
from anyscope.running.atomic import atomic_file


class MrcWriter(Writer):
    """MRC2014, which has int8, int16, uint16 and floats of 16 and 32 bits, and sizes in Angstrom."""

    name = "mrc"
    suffixes = (".mrc",)
    dtypes = ("i1", "i2", "u2", "f2", "f4")

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:
        import mrcfile

        if array.shape[0] != 1:
            raise BadInput(path, f"{what} with {array.shape[0]} channels", "one channel for MRC", "use .tif")
        with atomic_file(path) as temporary, warnings.catch_warnings():
            # The statistics in the header overflow or warn for NaN; they are of no use to us.
            warnings.simplefilter("ignore", RuntimeWarning)
            with np.errstate(all="ignore"), mrcfile.new(temporary, overwrite=True) as mrc:
                mrc.set_data(array[0])
                if voxel_size_nm is not None:
                    z, y, x = voxel_size_nm
                    mrc.voxel_size = (x * 10, y * 10, (z or 0.0) * 10)
                mrc.header.label[0] = b"anyscope"  # instead of the time of writing
                mrc.header.nlabl = 1
