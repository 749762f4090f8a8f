"""What a painter is told about a scene, as maps in -1..1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anyscope.synthesis.scenes import Scene

Floats = NDArray[np.float32]
CHANNELS = 3
"""Distance to the nearest rim, brightness of every object and of the background, grain."""
_DEPTH_PX = 10.0


def painter_maps(scene: Scene, random: np.random.Generator) -> Floats:
    """The maps (3, y, x) of a scene.

    ```
    tanh(signed distance to the nearest rim / 10 px)    positive inside of objects; rims between neighbours are rims
    2 level - 1                                         of each object, of the background outside
    normal noise / 3, within -1..1                      from which texture is made; without it one scene has one image
    ```
    """
    labels = scene.labels
    rim = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        rim[tuple(before)] |= differs
        rim[tuple(after)] |= differs
    distance = ndimage.distance_transform_edt(~rim) if rim.any() else np.full(labels.shape, 1e6)
    depth = np.tanh((distance + 0.5) / _DEPTH_PX) * np.where(labels > 0, 1, -1)
    grain = np.clip(random.standard_normal(labels.shape) / 3, -1, 1)
    return np.stack([depth, 2 * scene.flat - 1, grain]).astype(np.float32)
