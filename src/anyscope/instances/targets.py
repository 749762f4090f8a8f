"""What a network should predict for a label image: mask, boundary and distance, slice by slice.

All three follow from one distance transform per slice that knows labels apart, so that touching objects have a
boundary between them and a distance of their own. The distance is that of pytorch_connectomics' BCD targets:
tanh of the signed distance in units of 8 pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import HEADS, Labels
from anyscope.errors import BadInput, unknown_name


def targets(
    labels: Labels,
    heads: Sequence[str],
    classes: int = 2,
    ignore: Collection[int] = (),
    *,
    boundary_px: float = 1.0,
    distance_scale_px: float = 8.0,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The target of each head, one channel per head whatever the number of classes.

    - ``mask``: 0 or 1 for two classes (any label above 0 is foreground); for more classes the class number itself,
      as cross-entropy takes it, not one-hot. Logits therefore have more channels than targets: a loss pairs logits
      [B, K, H, W] with targets [B, T, H, W] through :func:`anyscope.contracts.head_channels`.
    - ``boundary``: 1 within ``boundary_px`` of an outline, on both sides of it: between touching objects as between
      an object and the background.
    - ``distance``: tanh(d / ``distance_scale_px``), d the distance in pixels to the outline, positive inside the
      pixel's own object, negative in the background; 0.5 px in the pixels that touch the outline.

    The edge of the array is no outline: an object cut by the edge of a patch goes on beyond it. Neither is the edge
    of an ignored region, which is filled with the nearest label before outlines are drawn.

    Args:
        labels: (z, y, x) integer or bool; object ids, 0/1, or class numbers where ``classes`` > 2.
        heads: Names out of :data:`anyscope.contracts.HEADS`.
        classes: Number of classes of the mask head, background included.
        ignore: Label values that have no target.
        boundary_px: Half the width of the boundary, at least 1.
        distance_scale_px: Where tanh has reached 0.76.

    Returns:
        Targets float32 (T, z, y, x), T = len(heads), and where they hold, bool (z, y, x).

    Raises:
        BadInput: For unknown heads, labels that are not (z, y, x), or a label that is no class.

    >>> row = np.array([[[1, 1, 1, 2, 2, 0]]])
    >>> targets(row, ["mask", "boundary"])[0][:, 0, 0].tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]]
    """
    for head in heads:
        if head not in HEADS:
            raise unknown_name("head", head, HEADS)
    if labels.ndim != 3:
        raise BadInput("labels", f"shape {labels.shape}", "axes (z, y, x)")
    labels, valid = _fill_ignored(labels, ignore)
    if classes > 2:
        _check_classes(labels, classes)
    result = np.empty((len(heads), *labels.shape), np.float32)
    needs_distance = any(head != "mask" for head in heads)
    for z, plane in enumerate(labels):
        distance = _signed_distance(plane) if needs_distance else None
        for channel, head in enumerate(heads):
            if head == "mask":
                result[channel, z] = plane if classes > 2 else plane != 0
            elif distance is not None:
                result[channel, z] = (
                    np.abs(distance) < boundary_px if head == "boundary" else np.tanh(distance / distance_scale_px)
                )
    return result, valid


def _signed_distance(plane: Labels) -> NDArray[np.float32]:
    """Distance in px to the outline of the pixel's region, negative in the background; infinite without outline."""
    import edt

    # The background is a region like any other, so that one transform serves both sides of every outline. Centres of
    # pixels on the two sides of an outline are 1 px apart: the outline itself is half a pixel away from either.
    distance = edt.edt(_regions(plane), black_border=False) - np.float32(0.5)
    return np.asarray(np.where(plane != 0, distance, -distance), np.float32)


def _regions(plane: Labels) -> NDArray[np.uint32]:
    """Regions numbered from 1, background included, in a type in which none of them wraps to 0."""
    if plane.dtype.itemsize > 2:
        import fastremap

        plane, _ = fastremap.renumber(plane, preserve_zero=True)
    return np.ascontiguousarray(plane, np.uint32) + np.uint32(1)


def _fill_ignored(labels: Labels, ignore: Collection[int]) -> tuple[Labels, NDArray[np.bool_]]:
    """Labels with ignored pixels replaced by the nearest other label of their slice, and where nothing was ignored."""
    if not ignore:
        return labels, np.ones(labels.shape, bool)
    from scipy.ndimage import distance_transform_edt

    valid = ~np.isin(labels, list(ignore))
    if valid.all():
        return labels, valid
    filled = labels.copy()
    for plane, known in zip(filled, valid, strict=True):
        if not known.any():
            plane[...] = 0
        elif not known.all():
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            plane[...] = plane[tuple(nearest)]
    return filled, valid


def _check_classes(labels: Labels, classes: int) -> None:
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= classes:
        value = low if low < 0 else high
        raise BadInput("labels", f"class {value}", f"classes 0 to {classes - 1}", "declare more classes or ignore it")
