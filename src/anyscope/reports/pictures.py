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
from anyscope.reports.colouring import Colouring, object_colours
from anyscope.reports.palette import BOTH, CONFUSED, PREDICTION, REFERENCE, Colour, object_palette

Grey = NDArray[np.uint8]
"""Display values (y, x)."""
Layer = NDArray[np.uint8]
"""Red, green, blue, alpha (y, x, 4)."""
LONGEST_SIDE_PX = 768
"""Bound of the longer side of an embedded picture: about half a megabyte for a noisy image."""
OVERSAMPLED = 2
"""Layers over images that were made smaller are drawn so many times finer and averaged: lines have soft edges."""

FILLING = 68
"""Opacity of the insides of objects, of 255."""


@dataclass(frozen=True)
class ScaleBar:
    """A bar of round length. ``fraction`` is its length relative to the width of the picture."""

    fraction: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A tag over a picture that leads to a list beneath it: its place in pixels of the layers, and its text."""

    x: float
    y: float
    text: str
    colour: Colour


@dataclass(frozen=True)
class Panel:
    """One view of an image.

    Args:
        caption: What is seen, in a word or two.
        alt: The same in a sentence, for those who cannot see it.
        layers: PNG data URIs drawn over the base, the first at the bottom.
        base_opacity: 1 shows the image in full, 0 leaves black.
        marks: Tags over it.
    """

    caption: str
    alt: str
    layers: tuple[str, ...] = ()
    base_opacity: float = 1.0
    marks: tuple[Mark, ...] = ()


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


def drawn_shape(shape: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int]:
    """The size (y, x) at which layers of an image of ``shape`` are drawn that will be ``shown`` smaller.

    >>> drawn_shape((256, 200), (768, 600)), drawn_shape((1024, 2048), (384, 768))
    ((768, 600), (768, 1536))
    """
    if max(shape) <= max(shown):
        return shown
    return shown[0] * OVERSAMPLED, shown[1] * OVERSAMPLED


def soften(layer: Layer, shape: tuple[int, int]) -> Layer:
    """Average a layer down to ``shape`` (y, x), of which it is a whole multiple: lines get soft edges.

    Opacity is averaged, in sixteen steps; the colour is the most opaque one of the pixels that are joined, so that
    there are no mixed colours that stand for nothing.
    """
    if layer.shape[:2] == shape:
        return layer
    factor = layer.shape[0] // shape[0]
    parts = [layer[y::factor, x::factor] for y in range(factor) for x in range(factor)]
    result = parts[0].copy()
    for part in parts[1:]:
        stronger = part[..., 3] > result[..., 3]
        result[stronger] = part[stronger]
    opacity = np.mean([part[..., 3] for part in parts], axis=0)
    result[..., 3] = np.rint(opacity / 17) * 17
    result[result[..., 3] == 0] = 0
    return result


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
    import fastremap
    from scipy import ndimage

    # Filters calculate in floating point, which does not tell large ids apart.
    compact = np.asarray(fastremap.renumber(np.ascontiguousarray(labels))[0], np.int32)
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
    (2, 1)
    """
    return max(1, round(max(shape) / 400))


def outlines(reference: Labels, prediction: Labels, width_px: int = 2) -> Layer:
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


def objects(labels: Labels, width_px: int = 2, alpha: int = FILLING, colouring: Colouring | None = None) -> Layer:
    """Objects in colours that differ between neighbours, with outlines.

    Args:
        labels: Label image (y, x), 0 background.
        width_px: Width of the outlines.
        alpha: Of the insides, 0 (outlines alone) to 255.
        colouring: Colours of the objects, where they are those of a whole stack or of another label image.
    """
    colouring = colouring or object_colours(labels)
    palette = np.zeros((colouring.count + 1, 4), np.uint8)
    palette[1:, :3], palette[1:, 3] = object_palette(colouring.count), alpha
    layer: Layer = palette[colouring.of(labels)]
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
