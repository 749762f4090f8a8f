"""Resampling in the plane: the one way in which images reach a network's working pixel size and labels follow.

Pixel centres sit at half-integers, and an image covers the same physical field before and after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def working_shape(shape: tuple[int, int], pixel_size_nm: float | None, working_nm: float | None) -> tuple[int, int]:
    """Shape (y, x) of a plane at the working pixel size; unchanged where either size is unknown.

    >>> working_shape((100, 200), 4.6, 9.2)
    (50, 100)
    """
    if pixel_size_nm is None or working_nm is None:
        return shape
    factor = pixel_size_nm / working_nm
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resample_image(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample the last two axes of a float image (..., y, x) bilinearly, antialiased on the way down."""
    if image.shape[-2:] == shape:
        return image
    import torch

    planes = torch.from_numpy(np.ascontiguousarray(image)).reshape(-1, 1, *image.shape[-2:])
    scaled = torch.nn.functional.interpolate(planes, size=shape, mode="bilinear", align_corners=False, antialias=True)
    result: NDArray[np.float32] = scaled.reshape(*image.shape[:-2], *shape).numpy()
    return result


def resample_labels(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resample the last two axes of a label image or mask (..., y, x) to the nearest pixel."""
    if labels.shape[-2:] == shape:
        return labels
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(np.intp)
        for new, old in zip(shape, labels.shape[-2:], strict=True)
    )
    return labels[..., rows[:, None], columns]
