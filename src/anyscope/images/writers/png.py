"""PNG: a single plane, grey or RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images.writers.writer import Writer
from anyscope.running.atomic import atomic_file


class PngWriter(Writer):
    """Losslessly compressed planes of bool, uint8 or uint16; three channels become RGB. Voxel sizes have no place."""

    name = "png"
    suffixes = (".png",)
    dtypes = ("b1", "u1", "u2")

    def write(self, path: Path, array: NDArray[Any], voxel_size_nm: VoxelSize | None, what: str) -> None:  # noqa: ARG002
        channels, planes = array.shape[:2]
        if planes != 1:
            raise BadInput(path, f"{what} with {planes} planes", "a single plane for PNG", "use .tif")
        if channels not in (1, 3) or (channels == 3 and array.dtype == bool):
            raise BadInput(
                path, f"{what} with {channels} channels of {array.dtype}", "grey, or RGB integers", "use .tif"
            )
        pixels = array[0, 0] if channels == 1 else np.moveaxis(array[:, 0], 0, -1)
        with atomic_file(path) as temporary:
            if array.dtype == bool:
                from PIL import Image

                Image.fromarray(pixels).save(temporary, format="PNG")
            else:
                from imagecodecs import png_encode

                temporary.write_bytes(png_encode(np.ascontiguousarray(pixels)))
