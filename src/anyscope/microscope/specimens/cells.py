"""Where the nuclei of cells lie that organelles are drawn around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class NuclearEnvelopes:
    """Elliptical nuclei, one for each cell of a jittered lattice; all lengths in pixels.

    Args:
        centre: (n, 2), y and x.
        radius: (n, 2), along and across.
        angle: (n,), of the first axis.
    """

    centre: Floats
    radius: Floats
    angle: Floats

    @classmethod
    def draw(
        cls, generator: np.random.Generator, shape: tuple[int, int], spacing_px: float, radius_px: float
    ) -> NuclearEnvelopes:
        """Nuclei about ``spacing_px`` apart; the lattice lies at random and covers the field and its surroundings."""
        start = generator.uniform(-1, 0, 2) * spacing_px
        ys, xs = (np.arange(s, n + spacing_px, spacing_px) for s, n in zip(start, shape, strict=True))
        centre = np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)
        centre = centre + generator.normal(0, 0.12 * spacing_px, centre.shape)
        stretch = generator.uniform(1.0, 1.35, len(centre))
        size = radius_px * np.exp(0.12 * generator.standard_normal(len(centre)))
        radius = np.stack([size * stretch, size / stretch], axis=-1)
        return cls(centre, radius, generator.uniform(0, np.pi, len(centre)))

    def distance(self, y: Floats, x: Floats) -> NDArray[np.float32]:
        """Distance in pixels from the nearest envelope, negative inside (exact for circles, close for ellipses).

        Args:
            y, x: Coordinates that broadcast against each other.
        """
        nearest = np.full(np.broadcast_shapes(y.shape, x.shape), np.inf, dtype=np.float32)
        for (cy, cx), (along, across), angle in zip(self.centre, self.radius, self.angle, strict=True):
            dy, dx = (y - cy).astype(np.float32), (x - cx).astype(np.float32)
            cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            u, v = (dx * cos + dy * sin) / np.float32(along), (dy * cos - dx * sin) / np.float32(across)
            scaled = np.sqrt(u * u + v * v) - np.float32(1)
            np.minimum(nearest, scaled * np.float32(np.sqrt(along * across)), out=nearest)
        return nearest

    def outward(self, y: float, x: float) -> float:
        """Direction (radians, x axis = 0) away from the nearest nucleus."""
        dy, dx = y - self.centre[:, 0], x - self.centre[:, 1]
        nearest = int(np.argmin(dy**2 + dx**2))
        return float(np.arctan2(dy[nearest], dx[nearest]))
