"""Stacks and planes, read and written one plane at a time, so that no volume has to fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput, explain_os_errors
from anyscope.geometry import Roi
from anyscope.images import Image, open_image, open_labels
from anyscope.running.progress import progress

Plane = NDArray[Any]
"""A plane (y, x)."""

_BIG_TIFF_BYTES = 2**32 - 2**25


@dataclass(frozen=True)
class PlaneStack:
    """Planes of one shape that are read when asked for.

    Args:
        parts: Files of one plane each, or one file of many.
        count: Number of planes.
        shape: (y, x) of each.
        dtype: Number type of each.
    """

    parts: tuple[Image, ...]
    count: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def planes(self) -> Iterator[Plane]:
        """The planes in order."""
        for part in self.parts:
            for z in range(part.shape[1]):
                yield part.read(Roi((z, 0, 0), (z + 1, *part.shape[2:])))[0, 0]


def open_stack(paths: Path | Sequence[Path], *, labels: bool = False) -> PlaneStack:
    """Open a file of many planes, or many files of one plane, as one stack; colours are read as grey.

    Args:
        paths: One file, or slices in order.
        labels: Whether the numbers are labels.

    Raises:
        BadInput: A damaged file, or slices of different shape or type.
    """
    many = [paths] if isinstance(paths, Path) else list(paths)
    parts = tuple((open_labels if labels else open_image)(path) for path in many)
    first = parts[0]
    for part in parts:
        if part.shape[0] != 1:
            raise BadInput(part.path, f"{part.shape[0]} channels", "grey slices")
        if part.shape[2:] != first.shape[2:] or (part.dtype != first.dtype and not labels):
            raise BadInput(
                part.path,
                f"{part.dtype} {part.shape[2:]} (y, x)",
                f"{first.dtype} {first.shape[2:]} as {first.path.name}",
            )
    dtype = np.result_type(*{part.dtype for part in parts})
    y, x = first.shape[2:]
    return PlaneStack(parts, sum(part.shape[1] for part in parts), (y, x), dtype)


def check_pair(image: PlaneStack, labels: PlaneStack) -> None:
    """Raise a :class:`BadInput` unless image and labels have the same planes."""
    if (image.count, image.shape) != (labels.count, labels.shape):
        raise BadInput(
            labels.parts[0].path,
            f"labels of shape {(labels.count, *labels.shape)} (z, y, x)",
            f"{(image.count, *image.shape)} as {image.parts[0].path.name}",
        )


def write_stack(
    path: Path,
    stack: PlaneStack,
    voxel_size_nm: tuple[float, ...] | None,
    change: Callable[[Plane], Plane] = lambda plane: plane,
    dtype: type[np.generic] | np.dtype[Any] | None = None,
) -> None:
    """Write a stack as TIFF (zlib), plane by plane.

    Args:
        path: The file to write.
        stack: What to write.
        voxel_size_nm: (z, y, x) in nm, kept in the metadata.
        change: What becomes of each plane; it keeps the shape.
        dtype: Number type after ``change``; that of the stack where it is left out.
    """
    import tifffile

    kind = np.dtype(stack.dtype if dtype is None else dtype)
    kind = np.dtype(np.uint8) if kind.kind == "b" else kind
    shape = (stack.count, *stack.shape)
    metadata: dict[str, Any] = {"axes": "ZYX"}
    options: dict[str, Any] = {}
    if voxel_size_nm is not None:
        z, y, x = voxel_size_nm
        metadata |= {"unit": "um", "spacing": z / 1000}
        options = {"resolution": (1000 / x, 1000 / y), "resolutionunit": "NONE"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with progress(f"prepare {path.parent.name}/{path.name}", stack.count, "planes") as shown, explain_os_errors(path):

        def changed() -> Iterator[Plane]:
            for plane in stack.planes():
                shown.advance()  # the writer takes the last plane and asks no further
                yield np.ascontiguousarray(change(plane).astype(kind, copy=False))

        tifffile.imwrite(
            path,
            changed(),
            shape=shape,
            dtype=kind,
            bigtiff=int(np.prod(shape)) * kind.itemsize >= _BIG_TIFF_BYTES,
            photometric="minisblack",
            compression="zlib",
            # Differences of neighbours, quickly packed, take less room and time than grey levels, packed well.
            compressionargs={"level": 1},
            predictor=kind.kind in "iu",
            metadata=metadata,
            software="anyscope",
            **options,
        )


def above(threshold: int) -> Callable[[Plane], Plane]:
    """A mask of what is above a threshold; published masks hold 0 and 255, some with soft edges."""
    return lambda plane: (plane > threshold).astype(np.uint8)


def pieces(plane: Plane) -> Plane:
    """Connected pieces of equal value as ids from 1; values tell touching objects apart, 0 is background.

    Diagonal neighbours are connected, as in the decoder of the Broad Bioimage Benchmark Collection for BBBC039.
    """
    import cc3d

    found: Plane = cc3d.connected_components(np.ascontiguousarray(plane), connectivity=8)
    return found


def first_channel(path: Path) -> Plane:
    """The first channel (y, x) of a PNG whose other channels mean something else."""
    import imageio.v3 as imageio

    with explain_os_errors(path):
        pixels = np.asarray(imageio.imread(path))
    return pixels if pixels.ndim == 2 else pixels[..., 0]
