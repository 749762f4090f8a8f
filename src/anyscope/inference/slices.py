"""A slice with its neighbours as the channels of one input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Unit


def slice_stack(image: Unit, z: int, neighbours: int) -> NDArray[np.float32]:
    """The slices z - k .. z + k of an image (c, z, y, x) as channels (c * (2 k + 1), y, x), ordered by slice.

    Beyond the first and the last slice of the image, these are repeated.

    >>> image = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    >>> slice_stack(image, 0, 1).ravel().tolist(), slice_stack(image, 3, 1).ravel().tolist()
    ([0.0, 0.0, 1.0], [2.0, 3.0, 3.0])
    """
    channels, depth, height, width = image.shape
    chosen = np.clip(np.arange(z - neighbours, z + neighbours + 1), 0, depth - 1)
    return np.ascontiguousarray(image[:, chosen].swapaxes(0, 1)).reshape(len(chosen) * channels, height, width)
