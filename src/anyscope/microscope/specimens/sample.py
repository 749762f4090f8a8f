"""What a specimen is: exact truth and the fluorophores that go with it.

The rule that ties the two together: **a pixel belongs to an object exactly if its centre lies inside the object, and
only such pixels carry fluorophores**, so ``labels > 0`` and ``density > 0`` are the same mask. Nothing is antialiased;
soft edges appear only where they come from in reality, in the optics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

Scale = Literal["cells", "organelles"]
"""What kind of objective a specimen is looked at with."""

EIGHT = np.ones((3, 3), dtype=bool)
"""Pixels that share an edge or a corner are connected."""


@dataclass(frozen=True)
class Sample:
    """One field of a specimen.

    Args:
        labels: Label image (y, x) int32, ids 1..n without gaps, 0 background.
        density: Fluorophores per pixel (y, x) float32 in about 0..1, positive exactly where ``labels`` is.
    """

    labels: NDArray[np.int32]
    density: NDArray[np.float32]

    def crop(self, margin_px: int) -> Sample:
        """The field without a frame of ``margin_px`` pixels; an object that this cuts in pieces becomes several."""
        inner = slice(margin_px, -margin_px or None)
        labels = separate_pieces(self.labels[inner, inner], border_only=True)
        return Sample(labels, np.ascontiguousarray(self.density[inner, inner]))


class Specimen(Protocol):
    """Parameters of a specimen, as a frozen dataclass, and a stateless call that draws one field of it."""

    scale: ClassVar[Scale]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, generator: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> Sample:
        """Draw a field of ``shape`` (y, x) pixels of the given size in nm."""


def separate_pieces(labels: NDArray[np.int32], border_only: bool = False) -> NDArray[np.int32]:
    """Give every 8-connected piece of every object its own id, ids 1..n in the order of the old ones.

    Args:
        labels: Label image (y, x).
        border_only: Look only at objects that touch the border of the image, because only these can be in pieces.
    """
    suspects = None
    if border_only:
        suspects = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    result = np.zeros_like(labels)
    count = 0
    for object_id, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == object_id
        pieces, n = (inside, 1) if suspects is not None and object_id not in suspects else _components(inside)
        result[box][inside] = pieces[inside].astype(np.int32) + count
        count += n
    return result


def keep_largest_pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Remove from every object all but its largest 8-connected piece; ids are made 1..n without gaps."""
    result = np.zeros_like(labels)
    count = 0
    for object_id, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, n = _components(labels[box] == object_id)
        count += 1
        largest = 1 if n == 1 else int(np.bincount(pieces.ravel())[1:].argmax()) + 1
        result[box][pieces == largest] = count
    return result


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The 8-connected components of a mask as a label image."""
    return _components(mask)[0]


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    labels, n = scipy.ndimage.label(mask, structure=EIGHT)
    return labels, int(n)


def smooth_noise(generator: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> NDArray[np.float32]:
    """A smooth Gaussian random field (y, x), expected mean 0 and variance 1, with features of about ``sigma_px``.

    Coarse fields are drawn on a coarser grid and interpolated, so the cost does not grow with ``sigma_px``.
    """
    step = max(1.0, sigma_px / 4)
    sigma = sigma_px / step
    edge = int(np.ceil(4 * sigma))
    coarse = tuple(int(np.ceil(length / step)) + 2 + 2 * edge for length in shape)
    field = generator.standard_normal(coarse, dtype=np.float32)
    field = scipy.ndimage.gaussian_filter(field, sigma)[edge:, edge:]
    point = np.zeros(2 * edge + 1)
    point[edge] = 1
    field /= np.float32((scipy.ndimage.gaussian_filter1d(point, sigma) ** 2).sum())
    if step > 1:
        y, x = (np.arange(length, dtype=np.float32) / np.float32(step) for length in shape)
        field = _bilinear(field, y, x)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])


def _bilinear(field: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Separable linear interpolation at the grid of coordinates ``y`` x ``x``."""
    row, column = y.astype(np.intp), x.astype(np.intp)
    fy, fx = (y - row)[:, None], (x - column)[None, :]
    rows = field[row] * (1 - fy) + field[row + 1] * fy
    result: NDArray[np.float32] = rows[:, column] * (1 - fx) + rows[:, column + 1] * fx
    return result
