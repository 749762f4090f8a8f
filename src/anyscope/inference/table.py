"""One row per object: where it is, how large, how certain."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.running.atomic import atomic_file

_NM_PER_UM = 1000.0


def object_table(
    labels: Labels, probability: NDArray[np.float32] | None = None, voxel_size_nm: VoxelSize | None = None
) -> pa.Table:
    """A row for every object of a label image, in the order of ids.

    ============================== =====================================================================================
    ``id``                         its label
    ``z0 y0 x0 z1 y1 x1``          bounding box in pixels, the end exclusive
    ``size_px``                    pixels
    ``area_um2``                   area, of objects within one slice
    ``volume_um3``                 volume, where the image has several slices and their distance is known
    ``centroid_z_px`` and so on    mean of the pixel indices
    ``centroid_z_um`` and so on    the same in µm, the centre of the first pixel at 0
    ``mean_probability``           mean foreground probability of its pixels
    ``touches_border``             whether a pixel lies at the edge of the image (in z only where there are slices)
    ============================== =====================================================================================

    What is not known is null.

    Args:
        labels: (z, y, x), 0 background, none negative.
        probability: Foreground probability (z, y, x).
        voxel_size_nm: Size of a voxel.
    """
    import cc3d

    if labels.ndim != 3 or (probability is not None and probability.shape != labels.shape):
        shapes = f"labels {labels.shape}" + ("" if probability is None else f", probability {probability.shape}")
        raise BadInput("objects", shapes, "(z, y, x), the same for both")
    ids, numbers = _numbered(labels)
    n = len(ids)
    statistics = cc3d.statistics(numbers, no_slice_conversion=True)
    sizes = statistics["voxel_counts"][1 : n + 1].astype(np.int64)
    boxes = statistics["bounding_boxes"][1 : n + 1].astype(np.int64).reshape(n, 3, 2)
    centroids = statistics["centroids"][1 : n + 1].astype(np.float64)
    sums = None if probability is None else _sums(numbers, probability, n)
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    return table_of_sums(ids, boxes[..., 0], boxes[..., 1] + 1, sizes, centroids, sums, shape, voxel_size_nm)


def table_of_sums(
    ids: NDArray[np.uint64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    sizes: NDArray[np.int64],
    centroids: NDArray[np.float64],
    probability: NDArray[np.float64] | None,
    shape: tuple[int, int, int],
    voxel_size_nm: VoxelSize | None,
) -> pa.Table:
    """The table of objects that were measured already; see :func:`object_table`.

    Args:
        ids: (n,) ids.
        first: (n, 3) where bounding boxes start.
        stop: (n, 3) where they end, exclusive.
        sizes: (n,) pixels.
        centroids: (n, 3) in pixels.
        probability: (n,) sum of the probability over the pixels of each.
        shape: The image (z, y, x).
        voxel_size_nm: Size of a voxel.
    """
    n = len(ids)
    axes = [axis for axis in range(3) if axis or shape[0] > 1]
    touches = ((first == 0) | (stop == shape))[:, axes].any(axis=1)

    columns: dict[str, pa.Array] = {"id": pa.array(ids, pa.uint64())}
    for name, corner in (("0", first), ("1", stop)):
        columns |= {f"{axis}{name}": pa.array(corner[:, i], pa.int64()) for i, axis in enumerate("zyx")}
    columns["size_px"] = pa.array(sizes, pa.int64())
    columns |= _extents(sizes, flat=stop[:, 0] - first[:, 0] == 1, slices=shape[0], voxel=voxel_size_nm)
    columns |= {f"centroid_{axis}_px": pa.array(centroids[:, i], pa.float64()) for i, axis in enumerate("zyx")}
    steps = (None, None, None) if voxel_size_nm is None else voxel_size_nm
    for i, (axis, step) in enumerate(zip("zyx", steps, strict=True)):
        columns[f"centroid_{axis}_um"] = _known(n, None if step is None else centroids[:, i] * step / _NM_PER_UM)
    columns["mean_probability"] = _known(n, None if probability is None else probability / np.maximum(sizes, 1))
    columns["touches_border"] = pa.array(touches, pa.bool_())
    return pa.table(columns)


def write_table(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a table as CSV or Parquet, by the suffix, whole or not at all."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise BadInput(path, f"suffix {suffix or 'missing'}", ".csv or .parquet")
    with atomic_file(path) as temporary:
        if suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(table, temporary)
        else:
            from pyarrow import parquet

            parquet.write_table(table, temporary)


def _numbered(labels: Labels) -> tuple[NDArray[np.uint64], Labels]:
    """Ids in ascending order, and the labels numbered 1..n in that order."""
    import fastremap

    found = fastremap.unique(labels)
    ids = found[found != 0]
    if ids.size and ids[0] < 0:
        raise BadInput("labels", f"id {ids[0]}", "none below 0")
    numbers = np.ascontiguousarray(labels)
    if numbers.dtype == np.bool_:
        numbers = numbers.view(np.uint8)
    if ids.size and int(ids[-1]) != len(ids):
        mapping = dict(zip(ids.tolist(), range(1, len(ids) + 1), strict=True)) | {0: 0}
        numbers = fastremap.remap(numbers, mapping)
    return ids.astype(np.uint64), numbers


def _sums(numbers: Labels, values: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """Sum of the values of each object, slice by slice, so that no wide copy of the whole is made."""
    sums = np.zeros(n + 1)
    for plane, part in zip(numbers, values, strict=True):
        sums += np.bincount(plane.ravel(), weights=part.ravel(), minlength=n + 1)
    return sums[1:]


def _extents(
    sizes: NDArray[np.int64], *, flat: NDArray[np.bool_], slices: int, voxel: VoxelSize | None
) -> dict[str, pa.Array]:
    """Areas of flat objects and volumes."""
    area = volume = None
    if voxel is not None:
        area = np.where(flat, sizes * voxel.y * voxel.x / _NM_PER_UM**2, np.nan)
        if slices > 1 and voxel.z is not None:
            volume = sizes * voxel.z * voxel.y * voxel.x / _NM_PER_UM**3
    return {"area_um2": _known(len(sizes), area), "volume_um3": _known(len(sizes), volume)}


def _known(n: int, values: NDArray[np.floating] | None) -> pa.Array:
    """Values with NaN as null; all null where there are none."""
    return pa.nulls(n, pa.float64()) if values is None else pa.array(values, pa.float64(), from_pandas=True)
