"""Pieces of images around single errors of objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.geometry import VoxelSize
from anyscope.metrics.object_errors import ObjectErrors
from anyscope.reports import pictures
from anyscope.reports.colouring import matching_colours
from anyscope.reports.error_pictures import error_layer
from anyscope.reports.object_findings import ObjectError
from anyscope.reports.pictures import GalleryItem, Mark, Panel
from anyscope.reports.tiles import jpeg_uri

CROP_PX = 320
"""Bound of the longer side of a crop in the page."""
_SMALLEST_PX = 64


def telling_plane(error: ObjectError, reference: Labels, prediction: Labels) -> int:
    """The plane of a stack that shows an error best: most of the parts, then most pixels of the object.

    Args:
        error: Of an object in the stack.
        reference: (z, y, x).
        prediction: (z, y, x).
    """
    own, other = (reference, prediction) if error.of_reference else (prediction, reference)
    names = [name for name, _ in error.parts]
    best, best_plane = (-1, -1), 0
    for z, (plane, opposite) in enumerate(zip(own, other, strict=True)):
        inside = plane == error.id
        pixels = int(inside.sum())
        if pixels:
            seen = int(np.isin(names, opposite[inside]).sum())
            if (seen, pixels) > best:
                best, best_plane = (seen, pixels), z
    return best_plane


def error_crop(
    error: ObjectError,
    errors: ObjectErrors,
    image: NDArray[np.floating],
    reference: Labels,
    prediction: Labels,
    name: str,
    voxel_size_nm: VoxelSize | None = None,
) -> GalleryItem:
    """The surroundings of an error: image, reference, prediction, errors.

    Args:
        error: Of an object that the plane shows.
        errors: All errors of the image that the plane is from.
        image: (y, x), any range.
        reference: (y, x), 0 background.
        prediction: (y, x), 0 background.
        name: The image, and the plane where there are several.
        voxel_size_nm: Gives the scale bar; None where unknown.
    """
    place = window((reference if error.of_reference else prediction) == error.id)
    cut = reference[place], prediction[place]
    extent = cut[0].shape[0], cut[0].shape[1]
    shape = pictures.shown_shape(extent, CROP_PX)
    fine = pictures.drawn_shape(extent, shape)
    width = pictures.line_width(fine) * (2 if fine != shape else 1)
    first, second = (pictures.resample_labels(labels, fine) for labels in cut)
    layers = [
        pictures.objects(labels, width, pictures.FILLING, colouring)
        for labels, colouring in zip((first, second), matching_colours(*cut), strict=True)
    ]
    layers.append(error_layer(first, second, errors, width))
    captions = ("Reference", "Prediction", "Errors")
    uris = [pictures.png_uri(pictures.soften(layer, shape)) for layer in layers]
    title = f"{error.tag} in {name}"
    panels = [Panel("Image", f"{title}: the image")]
    tag = marks((error,), *(pictures.resample_labels(labels, shape) for labels in cut))
    panels += [
        Panel(caption, f"{title}: {caption.lower()}", (uri,), *((0.6, tag) if caption == "Errors" else ()))
        for caption, uri in zip(captions, uris, strict=True)
    ]
    # The grey levels of the whole image, so that a crop looks as it does there.
    grey = pictures.shrink(pictures.to_grey(image)[place], shape)
    bar = pictures.scale_bar(extent[1], voxel_size_nm.x) if voxel_size_nm is not None else None
    return GalleryItem(title, str(error), jpeg_uri(grey), shape[1], shape[0], tuple(panels), bar)


def window(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square in the middle of the pixels, half as wide again as they are and at least 64 pixels, as it fits.

    >>> window(np.pad(np.ones((40, 120), bool), 200))
    (slice(130, 310, None), slice(170, 350, None))
    """
    spans = []
    for axis in range(2):
        found = np.flatnonzero(inside.any(axis=1 - axis))
        spans.append((int(found[0]), int(found[-1]) + 1) if found.size else (0, inside.shape[axis]))
    longest = max(stop - start for start, stop in spans)
    result = []
    for (start, stop), size in zip(spans, inside.shape, strict=True):
        wanted = min(size, max(_SMALLEST_PX, longest * 3 // 2))
        first = min(max(0, (start + stop - wanted) // 2), size - wanted)
        result.append(slice(first, first + wanted))
    return result[0], result[1]


def marks(errors: tuple[ObjectError, ...], reference: Labels, prediction: Labels) -> tuple[Mark, ...]:
    """Tags for the errors whose objects a plane shows, at the pixel of each that is nearest its middle.

    Args:
        errors: Of the image that the plane is from.
        reference: (y, x), as large as the picture.
        prediction: (y, x), the same.
    """
    found = []
    for error in errors:
        pixels = np.argwhere((reference if error.of_reference else prediction) == error.id)
        if len(pixels):
            y, x = pixels[((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
            found.append(Mark(float(x) + 0.5, float(y) + 0.5, error.tag, error.colour))
    return tuple(found)
