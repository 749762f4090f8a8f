"""Small pictures in rows: a piece of an image as pixels, outlines over it as paths that stay sharp when enlarged."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.reports.palette import Colour
from anyscope.reports.pictures import Grey

_JPEG_QUALITY = 85
_LONGEST_PATH = 12_000
"""Characters of an outline: a prediction that is all specks would otherwise be larger than its picture."""


@dataclass(frozen=True)
class Tile:
    """A small picture.

    Args:
        uri: The picture as a data URI.
        width, height: In its pixels, which are the units of the outlines.
        caption: What is seen, in a word or two.
        alt: The same in a sentence, for those who cannot see it.
        corner: A few characters over the picture, such as a score.
        outlines: SVG paths and their CSS colours, later ones on top.
    """

    uri: str
    width: int
    height: int
    caption: str
    alt: str
    corner: str = ""
    outlines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Strip:
    """A row of tiles with a name, and a remark beside it."""

    name: str
    note: str
    tiles: tuple[Tile, ...]


def css(colour: Colour) -> str:
    """A colour as CSS writes it."""
    return f"rgb{colour}"


def busiest_window(labels: Labels, size_px: int) -> tuple[slice, slice]:
    """The square of at most ``size_px`` pixels a side with the most rim of objects in it, the first of several.

    Args:
        labels: (y, x), 0 background.
        size_px: Side of the square.

    >>> busiest_window(np.pad(np.ones((2, 2), int), ((0, 8), (7, 1))), 4)
    (slice(0, 4, None), slice(6, 10, None))
    """
    height, width = (min(size_px, side) for side in labels.shape)
    rim = np.zeros(labels.shape, np.int64)
    rim[1:] += labels[1:] != labels[:-1]
    rim[:, 1:] += labels[:, 1:] != labels[:, :-1]
    total = np.pad(rim.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


def outline_path(labels: Labels) -> str:
    """The outlines of all objects as one SVG path in units of pixels; empty where there are none.

    Outlines run through the middle between a pixel of the object and its neighbour, simplified by less than half a
    pixel. What touches the border of the picture is closed along the border. Where there are very many, the smallest
    are left out, so that the path stays within 12,000 characters.

    Args:
        labels: (y, x), 0 background; every other number is one outline.
    """
    from scipy import ndimage
    from skimage.measure import approximate_polygon, find_contours

    ids, index = np.unique(labels, return_inverse=True)
    compact = index.reshape(labels.shape) + (0 if ids[0] == 0 else 1)
    contours: list[NDArray[np.float64]] = []
    for number, place in enumerate(ndimage.find_objects(compact), 1):
        if place is None:
            continue
        padded = np.pad(compact[place] == number, 1).astype(np.float32)
        # Pixel centres are at halves in SVG, and the padding moved everything by one.
        first = np.array([place[0].start, place[1].start]) - 0.5
        contours += [contour + first for contour in find_contours(padded, 0.5)]  # type: ignore[no-untyped-call]
    path, room = "", _LONGEST_PATH
    for contour in sorted(contours, key=len, reverse=True):
        corners = approximate_polygon(contour, 0.4)[:-1]  # type: ignore[no-untyped-call]
        y, x = corners.T.clip(0, [[labels.shape[0]], [labels.shape[1]]])
        piece = "M" + "L".join(f"{a:.4g} {b:.4g}" for a, b in zip(x, y, strict=True)) + "Z"
        room -= len(piece)
        if room < 0:
            break
        path += piece
    return path


def unit_to_grey(plane: NDArray[np.floating]) -> Grey:
    """Values 0 to 1 as 0 to 255, without any stretch: what a network is given looks as dim as it is."""
    grey: Grey = np.rint(np.clip(np.nan_to_num(plane), 0, 1) * 255).astype(np.uint8)
    return grey


def jpeg_uri(picture: NDArray[np.uint8]) -> str:
    """A grey (y, x) or RGB (y, x, 3) picture as a JPEG data URI: noise that as PNG would take four times as much."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
