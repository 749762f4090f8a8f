"""Size, position and shape of the objects in a label image, as arrays with one entry for each object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.metrics.contingency import AnyLabels, contingency

Columns = dict[str, NDArray[Any]]


def morphology(
    labels: AnyLabels,
    voxel_size_nm: tuple[float | None, ...] | None = None,
    per_slice: bool = False,
) -> Columns:
    """Measure every object of a label image; label 0 is background.

    Args:
        labels: (z, y, x) or (y, x), integers of at least 0. A bool mask is one object.
        voxel_size_nm: (z, y, x) or (y, x) in nm; z may be None for 2D objects.
        per_slice: Objects are what carries one label within a slice, instead of in the whole stack.

    Returns:
        Columns with one entry for each object, ordered by (slice and) id:

        * ``id`` uint64; ``slice`` int64 with ``per_slice`` only
        * ``size``: number of pixels or voxels
        * ``centroid`` (n, 3): mean z, y, x in pixels; ``start``, ``stop`` (n, 3): bounding box, stop exclusive
        * ``touches_border``: whether the box reaches a face of the image (of the slice, for 2D objects)
        * ``area_nm2`` for 2D objects, ``volume_nm3`` for 3D ones, if the voxel size is known
        * for 2D objects (a single slice, or ``per_slice``) ``solidity`` and ``eccentricity``, as scikit-image defines
          them: solidity is size over the number of pixels whose centre lies in the convex hull of the midpoints of the
          pixels' edges, borders included; eccentricity is that of the ellipse with the same second moments, in
          physical units where the pixel is not square, 0 for a single pixel.

    Raises:
        BadInput: Labels are not integers of at least 0, or the voxel size does not fit.

    >>> morphology(np.array([[0, 3, 3], [0, 3, 0]]))["solidity"]
    array([1.])
    """
    volume = np.asarray(labels)
    if volume.ndim not in (2, 3):
        raise BadInput("labels", f"shape {volume.shape}", "the axes (z, y, x) or (y, x)")
    volume = volume[np.newaxis] if volume.ndim == 2 else volume
    voxel = None if voxel_size_nm is None else as_voxel_size(voxel_size_nm)
    if per_slice:
        planes = [_measure(volume[z : z + 1], voxel) for z in range(volume.shape[0])]
        counts = [columns["id"].size for columns in planes]
        if not planes:
            planes = [_measure(np.zeros((1, 1, 1), np.uint8), voxel)]
        joined = {name: np.concatenate([columns[name] for columns in planes]) for name in planes[0]}
        depth = np.repeat(np.arange(volume.shape[0]), counts)
        for name in ("centroid", "start", "stop"):
            joined[name][:, 0] += depth
        return {"slice": depth, **joined}
    return _measure(volume, voxel)


def densities(labels: AnyLabels, voxel_size_nm: tuple[float | None, ...] | None = None) -> dict[str, float]:
    """Number of objects and how densely they lie.

    Args:
        labels: (z, y, x) or (y, x), integers of at least 0.
        voxel_size_nm: As for :func:`morphology`.

    Returns:
        ``objects``, ``objects_per_megapixel``, ``foreground_fraction``, and if the voxel size is known
        ``objects_per_um2`` (one slice) or ``objects_per_um3``.
    """
    columns = morphology(labels, voxel_size_nm)
    objects, pixels = columns["id"].size, max(labels.size, 1)
    result = {
        "objects": float(objects),
        "objects_per_megapixel": 1e6 * objects / pixels,
        "foreground_fraction": float(columns["size"].sum()) / pixels,
    }
    if voxel_size_nm is not None:
        voxel = as_voxel_size(voxel_size_nm)
        if labels.ndim == 2 or labels.shape[0] == 1:
            result["objects_per_um2"] = objects / (pixels * voxel.y * voxel.x * 1e-6)
        elif voxel.z is not None:
            result["objects_per_um3"] = objects / (pixels * voxel.z * voxel.y * voxel.x * 1e-9)
    return result


def as_voxel_size(sizes: tuple[float | None, ...]) -> VoxelSize:
    """From (z, y, x) or (y, x) in nm, where z may be None.

    Raises:
        BadInput: Another size is unknown or not positive.
    """
    known = [size for size in sizes if size is not None]
    if len(sizes) - len(known) > 1 or (len(sizes) > len(known) and (len(sizes) != 3 or sizes[0] is not None)):
        raise BadInput("voxel size", f"{sizes}", "numbers in nm; only z may be unknown")
    return VoxelSize.of(known)


def _measure(volume: NDArray[Any], voxel: VoxelSize | None) -> Columns:
    """Columns of the objects of a volume (z, y, x); objects are 2D where z = 1."""
    from anyscope.metrics import shapes

    flat = volume.shape[0] == 1
    if voxel is not None and voxel.z is None and not flat:
        remedy = "give it, or measure slice by slice (per_slice)"
        raise BadInput("voxel size", "the size along z is unknown", "(z, y, x) in nm for 3D objects", remedy)
    table = contingency(volume, volume)
    ids = table.reference_ids[table.reference_ids != 0]
    n = ids.size
    size, sums = np.zeros(n, np.int64), np.zeros((n, 3), np.int64)
    start, stop = np.full((n, 3), np.iinfo(np.int64).max), np.zeros((n, 3), np.int64)
    for z in range(volume.shape[0]):
        shapes.add_plane(_plane(volume[z]), z, ids, size, sums, start, stop)
    first = 1 if flat else 0
    touches = ((start == 0) | (stop == np.array(volume.shape)))[:, first:].any(axis=1)
    centroid = sums / np.maximum(size, 1)[:, np.newaxis]
    columns: Columns = {"id": ids, "size": size, "centroid": centroid, "start": start, "stop": stop}
    columns["touches_border"] = touches
    if voxel is not None and flat:
        columns["area_nm2"] = size * (voxel.y * voxel.x)
    elif voxel is not None and voxel.z is not None:
        columns["volume_nm3"] = size * (voxel.z * voxel.y * voxel.x)
    if flat:
        spacing = (1.0, 1.0) if voxel is None else (1.0, voxel.x / voxel.y)
        columns |= _flat_shapes(_plane(volume[0]), ids, size, start, stop, spacing)
    return columns


def _plane(plane: NDArray[Any]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(plane, np.uint64)


def _flat_shapes(
    plane: NDArray[np.uint64],
    ids: NDArray[np.uint64],
    size: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    spacing: tuple[float, float],
) -> Columns:
    """Solidity and eccentricity of 2D objects."""
    from anyscope.metrics import shapes

    rows = (stop - start)[:, 1]
    offset = np.cumsum(rows) - rows
    left, right = np.full(int(rows.sum()), -1, np.int64), np.full(int(rows.sum()), -1, np.int64)
    moments = np.zeros((ids.size, 5))
    shapes.add_outlines(plane, ids, start, offset, left, right, moments)
    hulls = shapes.hull_areas(offset, rows, left, right)
    y, x, yy, yx, xx = moments.T / np.maximum(size, 1)
    yy = (yy - y * y) * spacing[0] ** 2
    xx = (xx - x * x) * spacing[1] ** 2
    yx = (yx - y * x) * spacing[0] * spacing[1]
    middle, radius = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    minor = np.maximum(middle - radius, 0)
    major = np.maximum(middle + radius, 0)
    ratio = np.divide(minor, major, out=np.ones_like(major), where=major > 0)
    return {"solidity": size / np.maximum(hulls, 1), "eccentricity": np.sqrt(1 - ratio)}
