"""Between an image's own pixels and the pixels a network works at: the one way for training and for prediction.

Images go through torch's bilinear interpolation with antialiasing: a triangle filter as wide as the larger pixels where
pixels become larger, so that nothing aliases, and plain bilinear interpolation where they become smaller. Labels take
the nearest pixel. The outer edges of the image stay where they are (``align_corners=False``), so that way and way back
cancel in position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput

if TYPE_CHECKING:
    import torch

TOLERANCE = 0.02
"""Relative difference of pixel sizes below which an image is left as it is."""
SMALLEST_SCALE, LARGEST_SCALE = 1 / 50, 10.0
"""Beyond these the stated pixel sizes cannot be right, and memory would run out."""


@dataclass(frozen=True)
class Resampling:
    """How the pixels of an image become those of the network.

    Args:
        scale: Working pixels for each of the image's own, along an axis.
        note: What the user should know, or nothing.
    """

    scale: float
    note: str = ""

    def working_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width at working pixels of an image of ``shape`` (y, x)."""
        height, width = (max(1, round(length * self.scale)) for length in shape)
        return height, width


def resampling_for(pixel_size_nm: float | None, working_nm: float | None, zoom: float = 1.0) -> Resampling:
    """The resampling of an image with pixels of ``pixel_size_nm`` for a network that works at ``working_nm``.

    Args:
        pixel_size_nm: Of the image; None where unknown.
        working_nm: Of the network; None for the images' own pixels.
        zoom: A factor on top, for images whose pixel size is not what it is said to be.

    Raises:
        BadInput: The two differ so much that one of them must be wrong.

    >>> resampling_for(4.6, 9.2).working_shape((1024, 768))
    (512, 384)
    """
    zoomed = "" if zoom == 1 else f", zoomed by {zoom:.3g}"
    if working_nm is None:
        return Resampling(zoom, f"zoomed by {zoom:.3g}" if zoomed else "")
    if pixel_size_nm is None:
        note = f"pixel size unknown: predicted at its own pixels{zoomed}; the network works at {working_nm:g} nm"
        return Resampling(zoom, note)
    scale = zoom * pixel_size_nm / working_nm
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise BadInput(
            "pixel size",
            f"{pixel_size_nm:g} nm for a network that works at {working_nm:g} nm{zoomed}",
            f"{SMALLEST_SCALE * working_nm:g} to {LARGEST_SCALE * working_nm:g} nm",
            "check the voxel size",
        )
    if abs(scale - 1) <= TOLERANCE:
        return Resampling(1.0)
    return Resampling(scale, f"resampled from {pixel_size_nm:g} to {working_nm:g} nm pixels{zoomed}, predictions back")


def pixels_in_words(working_nm: float | None, zoom: float = 1.0) -> str:
    """The working pixels of a network in words.

    >>> pixels_in_words(9.2, 1.3)
    '9.2 nm pixels zoomed by 1.3'
    """
    size = "native pixels" if working_nm is None else f"{working_nm:g} nm pixels"
    return size if zoom == 1 else f"{size} zoomed by {zoom:.3g}"


def resample(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Images [B, C, H, W] at another height and width; the same tensor where these are the same."""
    if tuple(images.shape[-2:]) == tuple(shape):
        return images
    from torch.nn.functional import interpolate

    return interpolate(images, shape, mode="bilinear", align_corners=False, antialias=True)


def resample_image(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image (c, y, x) at another height and width; the same array where these are the same."""
    if image.shape[-2:] == shape:
        return image
    import torch

    result: NDArray[np.float32] = resample(torch.from_numpy(np.ascontiguousarray(image))[None], shape)[0].numpy()
    return result


def resample_labels(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """A label image or mask (..., y, x) at another height and width, each pixel the nearest of before."""
    if labels.shape[-2:] == shape:
        return labels
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(np.intp)
        for new, old in zip(shape, labels.shape[-2:], strict=True)
    )
    return labels[..., rows[:, None], columns]
