"""Images for the eye: display range, outlines, error maps, coloured objects, scale bars, PNG data URIs.

A picture is a grey base and transparent layers over it. The base is embedded once however many panels show it, and
layers are drawn finer than small images, so that outlines do not hide what they surround.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.metrics import contingency
from anyscope.reports.colouring import neighbour_colours

Grey = NDArray[np.uint8]
"""Display values (y, x)."""
Layer = NDArray[np.uint8]
"""Red, green, blue, alpha (y, x, 4)."""
Colour = tuple[int, int, int]

LONGEST_SIDE_PX = 768
"""Bound of the longer side of an embedded picture: about half a megabyte for a noisy image."""

# Okabe and Ito (2008), colour-blind safe, lightened to stand out from grey: one colour for what only the reference has,
# one for what only the prediction has, everywhere in a report.
REFERENCE: Colour = (77, 182, 245)
PREDICTION: Colour = (255, 140, 26)
BOTH: Colour = (255, 255, 255)
CONFUSED: Colour = (226, 120, 190)
OBJECTS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (60, 190, 140),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (150, 140, 240),
)


@dataclass(frozen=True)
class ScaleBar:
    """A bar of round length. ``fraction`` is its length relative to the width of the picture."""

    fraction: float
    label: str


@dataclass(frozen=True)
class Panel:
    """One view of an image.

    Args:
        caption: What is seen, in a word or two.
        alt: The same in a sentence, for those who cannot see it.
        layers: PNG data URIs drawn over the base, the first at the bottom.
        base_opacity: 1 shows the image in full, 0 leaves black.
    """

    caption: str
    alt: str
    layers: tuple[str, ...] = ()
    base_opacity: float = 1.0


@dataclass(frozen=True)
class GalleryItem:
    """An image and its views.

    Args:
        name: The image.
        note: Its score and rank, in words.
        base: The grey image as a PNG data URI.
        width: Of the layers, in their pixels.
        height: Of the layers, in their pixels.
        panels: The views.
        scale_bar: None where the pixel size is unknown.
    """

    name: str
    note: str
    base: str
    width: int
    height: int
    panels: tuple[Panel, ...]
    scale_bar: ScaleBar | None = None


def shown_shape(shape: tuple[int, int], longest: int = LONGEST_SIDE_PX) -> tuple[int, int]:
    """The size (y, x) at which an image of ``shape`` is drawn: a whole multiple of small ones, large ones bounded.

    >>> shown_shape((256, 200)), shown_shape((1024, 2048)), shown_shape((1, 5000))
    ((768, 600), (384, 768), (1, 768))
    """
    side = max(shape)
    if side <= longest:
        factor = longest // side
        return shape[0] * factor, shape[1] * factor
    return max(1, round(shape[0] * longest / side)), max(1, round(shape[1] * longest / side))


def to_grey(image: NDArray[np.floating], low: float = 0.2, high: float = 99.8) -> Grey:
    """Stretch an image between two percentiles of its finite values for display.

    Args:
        image: (y, x), any range.
        low: Percentile shown black.
        high: Percentile shown white.

    Returns:
        (y, x) uint8. A constant image is mid grey; NaN is black, infinities are black and white.
    """
    values = np.asarray(image, np.float32)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    first, last = np.percentile(finite, [low, high])
    if last <= first:
        first, last = finite.min(), finite.max()
    if last <= first:
        return np.where(np.isfinite(values), 128, 0).astype(np.uint8)
    unit = np.nan_to_num((values - first) / (last - first), nan=0.0, posinf=1.0, neginf=0.0)
    grey: Grey = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return grey


def shrink(grey: Grey, shape: tuple[int, int]) -> Grey:
    """Average an image down to ``shape`` (y, x); an image that is smaller already stays as it is."""
    from PIL import Image

    if grey.shape[0] <= shape[0] and grey.shape[1] <= shape[1]:
        return grey
    return np.asarray(Image.fromarray(grey).resize((shape[1], shape[0]), Image.Resampling.BOX))


def resample_labels(labels: Labels, shape: tuple[int, int]) -> Labels:
    """Labels (y, x) at another size, each pixel that of the nearest."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    return np.asarray(labels)[np.ix_(rows, columns)]


def rims(labels: Labels, width_px: int) -> NDArray[np.bool_]:
    """The rim of every object, ``width_px`` wide and inside of it; the border of the image is no rim.

    >>> rims(np.array([[0, 1, 1, 1, 2, 2, 2]]), 1).astype(int)
    array([[0, 1, 0, 1, 1, 0, 0]])
    """
    from scipy import ndimage

    compact = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    size = 2 * width_px + 1
    highest = ndimage.maximum_filter(compact, size, mode="nearest")
    lowest = ndimage.minimum_filter(compact, size, mode="nearest")
    return np.asarray((highest != lowest) & (np.asarray(labels) != 0))


def paint(shape: tuple[int, int], *strokes: tuple[NDArray[np.bool_], Colour, int]) -> Layer:
    """A transparent layer (y, x, 4) with strokes of (pixels, colour, alpha 0..255), later ones on top."""
    layer = np.zeros((*shape, 4), np.uint8)
    for pixels, colour, alpha in strokes:
        layer[pixels] = (*colour, alpha)
    return layer


def line_width(shape: tuple[int, int]) -> int:
    """Width of outlines, in pixels of a picture of ``shape``, that is fine but visible at half its size.

    >>> line_width((768, 600)), line_width((200, 300))
    (3, 1)
    """
    return max(1, round(max(shape) / 280))


def outlines(reference: Labels, prediction: Labels, width_px: int = 3) -> Layer:
    """Outlines of both: the reference in its colour, the prediction in its own, white where they coincide."""
    first, second = rims(reference, width_px), rims(prediction, width_px)
    strokes = ((first, REFERENCE, 255), (second, PREDICTION, 255), (first & second, BOTH, 255))
    return paint(_shape(reference), *strokes)


def errors(reference: Labels, prediction: Labels) -> Layer:
    """Pixels that only the reference has, only the prediction has, both have, or both have with other classes.

    Args:
        reference: Mask or classes (y, x), 0 background.
        prediction: The same.
    """
    first, second = np.asarray(reference) != 0, np.asarray(prediction) != 0
    both = first & second
    return paint(
        _shape(reference),
        (both, BOTH, 70),
        (both & (np.asarray(reference) != np.asarray(prediction)), CONFUSED, 235),
        (first & ~second, REFERENCE, 235),
        (second & ~first, PREDICTION, 235),
    )


def object_errors(reference: Labels, prediction: Labels, width_px: int = 2) -> Layer:
    """Objects without a partner: missed ones, invented ones, and the outlines of those that were found.

    A reference and a predicted object are partners where their IoU is above 0.5, which makes them unique.

    Args:
        reference: Label image (y, x), 0 background.
        prediction: The same.
        width_px: Width of the outlines.
    """
    found, right = partners(reference, prediction)
    first, second = np.asarray(reference), np.asarray(prediction)
    missed, invented = (first != 0) & ~found, (second != 0) & ~right
    return paint(
        _shape(reference),
        (found | right, BOTH, 45),
        (rims(np.where(found, first, 0), width_px), BOTH, 190),
        (missed, REFERENCE, 215),
        (invented, PREDICTION, 215),
        (missed & invented, CONFUSED, 215),
        (rims(np.where(missed, first, 0), width_px), REFERENCE, 255),
        (rims(np.where(invented, second, 0), width_px), PREDICTION, 255),
    )


def partners(reference: Labels, prediction: Labels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels of the reference objects, and of the predicted objects, that have a partner with IoU above 0.5."""
    table = contingency(reference, prediction)
    areas, extents = table.reference_sizes[table.rows], table.prediction_sizes[table.cols]
    first, second = table.reference_ids[table.rows], table.prediction_ids[table.cols]
    match = (2 * table.counts > areas + extents - table.counts) & (first != 0) & (second != 0)
    return np.isin(reference, first[match]), np.isin(prediction, second[match])


def objects(labels: Labels, width_px: int = 2, alpha: int = 110) -> Layer:
    """Objects in colours that differ between neighbours, with outlines.

    Args:
        labels: Label image (y, x), 0 background.
        width_px: Width of the outlines.
        alpha: Of the insides, 0..255.
    """
    colours = neighbour_colours(labels)
    palette = np.zeros((int(colours.max(initial=0)) + 1, 4), np.uint8)
    for number in range(1, len(palette)):
        palette[number] = (*OBJECTS[(number - 1) % len(OBJECTS)], alpha)
    layer: Layer = palette[colours]
    layer[rims(labels, width_px), 3] = 255
    return layer


def flatten(grey: Grey, *layers: Layer) -> NDArray[np.uint8]:
    """The picture as red, green, blue (y, x, 3): layers over a grey image of the same size."""
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    for layer in layers:
        alpha = layer[..., 3:].astype(np.float32) / 255
        picture += (layer[..., :3] - picture) * alpha
    return np.rint(picture).astype(np.uint8)


def png_uri(array: NDArray[np.uint8]) -> str:
    """A grey (y, x), RGB (y, x, 3) or RGBA (y, x, 4) picture as a PNG data URI.

    Pictures of at most 256 colours are stored with a palette, which makes layers a few kilobytes.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(array))
    if array.ndim == 3 and array.shape[2] == 4:
        packed = np.ascontiguousarray(array).view(np.uint32)[..., 0]
        colours, index = np.unique(packed, return_inverse=True)
        if len(colours) <= 256:
            table = colours.view(np.uint8).reshape(-1, 4)
            picture = Image.fromarray(index.reshape(packed.shape).astype(np.uint8))
            picture.putpalette(table[:, :3].tobytes())
            picture.info["transparency"] = table[:, 3].tobytes()
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def scale_bar(width_px: int, pixel_size_nm: float) -> ScaleBar:
    """A bar of 1, 2 or 5 times a power of ten nm, at most a quarter of the picture wide.

    Args:
        width_px: Width of the image in its own pixels.
        pixel_size_nm: Size of these pixels along x.

    >>> scale_bar(1000, 4.6)
    ScaleBar(fraction=0.21739130434782608, label='1 µm')
    """
    extent = width_px * pixel_size_nm
    power = 10.0 ** math.floor(math.log10(extent / 4))
    # The logarithm of a number just under a power of ten can round up to it: hence the half.
    length = next(factor * power for factor in (5, 2, 1, 0.5) if factor * power <= extent / 4)
    units = ((1e6, "mm"), (1e3, "µm"), (1.0, "nm"))
    size, unit = next(((size, unit) for size, unit in units if length >= size), (1.0, "nm"))
    return ScaleBar(length / extent, f"{length / size:g} {unit}")


def _shape(array: Labels) -> tuple[int, int]:
    rows, columns = array.shape
    return rows, columns
