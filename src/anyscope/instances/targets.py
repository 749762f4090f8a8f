"""What a network should predict for a label image: mask, boundary, distance, centre and affinities.

Boundary, distance and centre follow from one distance transform that knows labels apart, slice by slice or in the
volume, so that touching objects have a boundary between them and a distance of their own. The distance is that of
pytorch_connectomics' BCD targets: tanh of the signed distance in units of 8 pixels.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import HeadLayout, Labels, Offset
from anyscope.errors import BadInput
from anyscope.instances.numbering import consecutive

Spacing = tuple[float, float, float]
"""Distances between neighbouring pixels along (z, y, x), in pixels of the plane."""


def targets(
    labels: Labels,
    layout: HeadLayout,
    valid: NDArray[np.bool_] | None = None,
    *,
    planes: slice = slice(None),
    spacing: Spacing | None = None,
    boundary_px: float = 1.0,
    distance_scale_px: float = 8.0,
    erosion_px: float = 0.0,
) -> NDArray[np.float32]:
    """The targets of the heads, in the order of :attr:`anyscope.contracts.HeadLayout.targets`.

    - ``mask``: 0 or 1 for two classes (any label above 0 is foreground); for more classes the class number itself,
      as cross-entropy takes it, not one-hot: one channel, where logits have one for each class.
    - ``boundary``: 1 within ``boundary_px`` of an outline, on both sides of it: between touching objects as between
      an object and the background.
    - ``distance``: tanh(d / ``distance_scale_px``), d the distance in pixels to the outline, positive inside the
      pixel's own object, negative in the background; 0.5 px in the pixels that touch the outline.
    - ``centre``: the distance to the innermost pixel of the pixel's own object over the largest one in that object; 1
      in the background. As the centre distance of micro-sam (Archit et al., Nature Methods 2025).
    - ``affinities``: for each offset 1 where the pixel and the one at the offset share an object, 0 where not; NaN,
      which is no target, where that one lies outside of the array or is not known (Turaga et al., Neural Computation
      2010; long-range ones: Lee et al., arXiv 1706.00120).

    The edge of the array is no outline: an object cut by the edge of a patch goes on beyond it. Neither is the edge
    of a region whose labels are not known, which is filled with the nearest label before outlines are drawn.

    Args:
        labels: (z, y, x) integer or bool; object ids, 0/1, or class numbers where there are more than 2 classes.
        layout: The heads, the number of classes, the offsets of affinities.
        valid: (z, y, x), pixels whose labels are known; None for all.
        planes: Which planes are wanted; the others are only looked at.
        spacing: Take outlines and distances in the volume, planes so far apart; None takes each plane for itself.
        boundary_px: Half the width of the boundary, at least 1.
        distance_scale_px: Where tanh has reached 0.76.
        erosion_px: For affinities, objects without what lies less than so far from their outline within the slice:
            1 takes the pixels on either side of an outline, so that touching objects have a gap between them.

    Returns:
        Targets float32 (T, z, y, x) of the planes wanted; those of pixels that are not known mean nothing.

    Raises:
        BadInput: Labels are not (z, y, x), or one is no class.

    >>> row = np.array([[[1, 1, 1, 2, 2, 0]]])
    >>> targets(row, HeadLayout(("mask", "boundary")))[:, 0, 0].tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]]
    """
    if labels.ndim != 3:
        raise BadInput("labels", f"shape {labels.shape}", "axes (z, y, x)")
    if valid is not None:
        labels = _filled(labels, valid)
    if layout.classes > 2:
        _check_classes(labels, layout.classes)
    near = labels if spacing is not None else labels[planes]
    wanted = planes if spacing is not None else slice(None)
    distance = None
    if {"boundary", "distance", "centre"} & set(layout.heads):
        distance = _signed_distance(near, spacing)
    parts = []
    for head in layout.heads:
        if head == "mask":
            mask = labels[planes] if layout.classes > 2 else labels[planes] != 0
            parts.append(mask[None].astype(np.float32))
        elif head == "affinities":
            objects = labels if erosion_px == 0 else _eroded(labels, erosion_px)
            parts.append(affinities(objects, layout.offsets, valid, planes))
        else:
            assert distance is not None
            values: NDArray[Any]
            if head == "boundary":
                values = np.abs(distance) < boundary_px
            elif head == "distance":
                values = np.tanh(distance / distance_scale_px)
            else:
                values = _centre(near, distance, spacing)
            parts.append(values[wanted][None].astype(np.float32))
    return np.concatenate(parts)


def affinities(
    labels: Labels, offsets: Collection[Offset], valid: NDArray[np.bool_] | None = None, planes: slice = slice(None)
) -> NDArray[np.float32]:
    """For each offset 1 where two pixels share an object, 0 where not, NaN where it is not known.

    Args:
        labels: (z, y, x), 0 the background, whose pixels share nothing.
        offsets: From the pixel to the other, (z, y, x).
        valid: Pixels whose labels are known.
        planes: Which planes are wanted.

    Returns:
        float32 (offsets, z, y, x).

    >>> affinities(np.array([[[1, 1, 2, 0, 0]]]), [(0, 0, 1)])[0, 0, 0].tolist()
    [1.0, 0.0, 0.0, 0.0, nan]
    """
    first, last, _ = planes.indices(len(labels))
    depth, height, width = labels.shape
    found = np.full((len(offsets), last - first, height, width), np.nan, np.float32)
    for channel, (z, y, x) in zip(found, offsets, strict=True):
        low, high = max(first, -z), min(last, depth - z)
        (rows, other_rows), (columns, other_columns) = _pairs(y, height), _pairs(x, width)
        if low >= high:
            continue
        here = (slice(low, high), rows, columns)
        there = (slice(low + z, high + z), other_rows, other_columns)
        same = (labels[here] == labels[there]) & (labels[here] != 0)
        known = True if valid is None else valid[there]
        channel[slice(low - first, high - first), rows, columns] = np.where(known, same, np.nan)
    return found


def _pairs(offset: int, length: int) -> tuple[slice, slice]:
    """The pixels along an axis that have another at an offset, and these others."""
    offset = max(-length, min(length, offset))
    return slice(max(0, -offset), length - max(0, offset)), slice(max(0, offset), length - max(0, -offset))


def _signed_distance(labels: Labels, spacing: Spacing | None) -> NDArray[np.float32]:
    """Distance in px to the outline of the pixel's region, negative in the background; infinite without outline."""
    import edt

    # The background is a region like any other, so that one transform serves both sides of every outline. Centres of
    # pixels on the two sides of an outline are 1 px apart: the outline itself is half a pixel away from either.
    regions = consecutive(labels) + np.uint32(1)
    if spacing is None:
        distance = np.stack([edt.edt(plane, black_border=False) for plane in regions])
    else:
        distance = edt.edt(regions, anisotropy=spacing, black_border=False)
    distance -= np.float32(0.5)
    return np.asarray(np.where(labels != 0, distance, -distance), np.float32)


def _centre(labels: Labels, distance: NDArray[np.float32], spacing: Spacing | None) -> NDArray[np.float32]:
    """Distance to the innermost pixel of the pixel's object, over the largest one in that object; 1 outside."""
    if spacing is None:
        planes = zip(labels[:, None], distance[:, None], strict=True)
        return np.concatenate([_centre(plane, inner, (1.0, 1.0, 1.0)) for plane, inner in planes])
    result = np.ones(labels.shape, np.float32)
    places = np.nonzero(labels)
    ids = consecutive(labels)[places].astype(np.intp) - 1
    if not len(ids):
        return result
    # the last of the pixels in ascending order of distance is the innermost one of its object
    order = np.argsort(np.nan_to_num(distance[places], posinf=0.0), kind="stable")
    innermost = np.zeros(ids.max() + 1, np.intp)  # ids may have gaps
    innermost[ids[order]] = order
    squares = sum(
        ((axis - axis[innermost][ids]) * np.float32(scale)) ** 2 for axis, scale in zip(places, spacing, strict=True)
    )
    away = np.sqrt(np.asarray(squares, np.float32))
    largest = np.zeros(len(innermost), np.float32)
    np.maximum.at(largest, ids, away)
    result[places] = away / np.maximum(largest[ids], 1.0)
    return result


def _eroded(labels: Labels, erosion_px: float) -> Labels:
    """Objects without what lies less than so far from their outline within the slice."""
    return np.where(_signed_distance(labels, None) < erosion_px, 0, labels)


def _filled(labels: Labels, valid: NDArray[np.bool_]) -> Labels:
    """Labels with those that are not known replaced by the nearest one of their slice, by 0 where none is known."""
    if valid.all():
        return labels
    from scipy.ndimage import distance_transform_edt

    filled = labels.copy()
    for plane, known in zip(filled, valid, strict=True):
        if not known.any():
            plane[...] = 0
        elif not known.all():
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            plane[...] = plane[tuple(nearest)]
    return filled


def _check_classes(labels: Labels, classes: int) -> None:
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= classes:
        value = low if low < 0 else high
        raise BadInput("labels", f"class {value}", f"classes 0 to {classes - 1}", "declare more classes or ignore it")
