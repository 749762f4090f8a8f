"""How images of the source are changed so that they look like the target's, labels untouched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


class Style:
    """A change of grey levels. Subclasses override one of the two methods, or both."""

    def plane(self, region: int, image: Pixels) -> Pixels:  # noqa: ARG002
        """Change a whole plane once, as it is read: what depends on nothing random.

        Args:
            region: Number of the region in the training part of the source.
            image: (c, y, x) in 0..1 at working pixels.
        """
        return image

    def patch(self, region: int, image: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG002
        """Change a patch as it is drawn, before augmentation.

        Args:
            region: Number of the region in the training part of the source.
            image: (C, y, x) in 0..1.
            random: The generator of all draws, the patch's own.
        """
        return image
