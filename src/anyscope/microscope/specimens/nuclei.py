"""Cell nuclei: deformed ellipses with chromatin, nucleoli and touching neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.microscope.specimens.sample import Sample, Scale, keep_largest_pieces, smooth_noise


@dataclass(frozen=True)
class Nuclei:
    """Nuclei of one cell line, labelled with a DNA stain.

    Where two outlines overlap, the pixel belongs to the nucleus in which it lies deeper, so that touching neighbours
    share a border without a gap and without doubly counted pixels.

    Args:
        diameter_um: Mean diameter of a nucleus.
        diameter_spread: Standard deviation of the logarithm of the diameter.
        elongation: Mean ratio of the long to the short axis.
        deformation: Standard deviation of the outline's radius relative to an ellipse.
        per_mm2: Mean number of nuclei per square millimetre.
        clustering: Probability that a nucleus touches one that was placed before.
        overlap: How far touching nuclei may intrude upon each other, as a fraction of their summed radii.
        brightness_spread: Standard deviation of the logarithm of the brightness of a nucleus.
        chromatin: Strength of the chromatin texture (standard deviation of its logarithm).
        nucleoli: Mean number of nucleoli, seen as dark holes.
        foci: Mean number of bright heterochromatin foci.
        condensed: Fraction of nuclei that are small, round and bright (dividing or dying cells).
    """

    scale: ClassVar[Scale] = "cells"

    diameter_um: float = 10.0
    diameter_spread: float = 0.16
    elongation: float = 1.3
    deformation: float = 0.05
    per_mm2: float = 3000.0
    clustering: float = 0.4
    overlap: float = 0.12
    brightness_spread: float = 0.35
    chromatin: float = 0.22
    nucleoli: float = 2.0
    foci: float = 4.0
    condensed: float = 0.05

    def __call__(self, generator: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> Sample:
        """Draw a field of ``shape`` (y, x); see :class:`~anyscope.microscope.specimens.sample.Specimen`."""
        pixel_um = pixel_size_nm / 1000
        outlines = self._place(generator, shape, pixel_um)
        depth = np.zeros(shape, dtype=np.float32)
        owner = np.zeros(shape, dtype=np.int32)
        density = np.zeros(shape, dtype=np.float32)
        fine = smooth_noise(generator, shape, max(0.35 / pixel_um, 0.7))
        coarse = smooth_noise(generator, shape, max(1.1 / pixel_um, 1.0))
        texture = np.exp(self.chromatin * (0.75 * fine + 0.66 * coarse))
        for number, outline in enumerate(outlines, start=1):
            box, y, x = _window(outline, shape)
            if y.size == 0 or x.size == 0:
                continue
            inside = 1 - outline.radius(y, x)
            wins = inside > depth[box]
            value = self._density(generator, outline, inside, y, x, pixel_um) * texture[box]
            depth[box][wins] = inside[wins]
            owner[box][wins] = number
            density[box][wins] = value[wins]
        labels = keep_largest_pieces(owner)
        density[labels == 0] = 0
        return Sample(labels, density)

    def _place(self, generator: np.random.Generator, shape: tuple[int, int], pixel_um: float) -> list[_Outline]:
        """Outlines in pixels; the first lies in the middle of the field, which is therefore never empty."""
        height, width = shape
        expected = self.per_mm2 * height * width * pixel_um**2 / 1e6
        wanted = max(1, int(generator.poisson(expected)))
        placed: list[_Outline] = []
        centres = np.empty((wanted, 2))
        radii = np.empty(wanted)
        for _ in range(20 * wanted):
            outline = self._outline(generator, pixel_um)
            n = len(placed)
            if n == 0:
                centre = np.array([height, width]) * generator.uniform(0.4, 0.6, 2)
            elif generator.random() < self.clustering:
                host, angle = int(generator.integers(n)), generator.uniform(0, 2 * np.pi)
                reach = (radii[host] + outline.size) * (1 - self.overlap * generator.random())
                centre = centres[host] + reach * np.array([np.sin(angle), np.cos(angle)])
            else:
                centre = generator.uniform(-outline.size, [height + outline.size, width + outline.size])
            gap = np.hypot(*(centres[:n] - centre).T) if n else np.empty(0)
            if (gap < (radii[:n] + outline.size) * (1 - self.overlap)).any():
                continue
            centres[n], radii[n] = centre, outline.size
            placed.append(outline._replace(y=float(centre[0]), x=float(centre[1])))
            if len(placed) == wanted:
                break
        return placed

    def _outline(self, generator: np.random.Generator, pixel_um: float) -> _Outline:
        condensed = bool(generator.random() < self.condensed)
        radius = self.diameter_um / 2 / pixel_um * np.exp(self.diameter_spread * generator.standard_normal())
        stretch = 1 + (self.elongation - 1) * generator.gamma(4.0) / 4
        brightness = 0.5 * np.exp(self.brightness_spread * generator.standard_normal())
        if condensed:
            radius, stretch, brightness = 0.6 * radius, 1 + 0.3 * (stretch - 1), 1.8 * brightness
        order = np.arange(2, 6)
        wave = self.deformation * generator.standard_normal(order.size) * (2 / order) ** 0.75
        return _Outline(
            y=0.0,
            x=0.0,
            size=max(float(radius), 1.0),
            stretch=float(np.sqrt(stretch)),
            angle=float(generator.uniform(0, np.pi)),
            wave=tuple(wave.tolist()),
            phase=tuple(generator.uniform(0, 2 * np.pi, order.size).tolist()),
            brightness=float(np.clip(brightness, 0.12, 1.6)),
            condensed=condensed,
        )

    def _density(
        self,
        generator: np.random.Generator,
        outline: _Outline,
        inside: NDArray[np.float32],
        y: NDArray[np.float32],
        x: NDArray[np.float32],
        pixel_um: float,
    ) -> NDArray[np.float32]:
        """Projected DNA of one nucleus: a flattened ellipsoid with holes and bright foci, before the fine texture."""
        thickness = np.sqrt(np.clip(inside * (2 - inside), 0.0, 1.0))
        value = outline.brightness * (0.35 + 0.65 * thickness)
        if not outline.condensed:
            for spots, strength, size_um in ((self.nucleoli, -0.55, 0.9), (self.foci, 0.5, 0.4)):
                for _ in range(int(generator.poisson(spots))):
                    angle, at = generator.uniform(0, 2 * np.pi), 0.75 * np.sqrt(generator.random()) * outline.size
                    sigma = max(size_um * np.exp(0.3 * generator.standard_normal()) / pixel_um, 0.6)
                    d2 = (y - outline.y - at * np.sin(angle)) ** 2 + (x - outline.x - at * np.cos(angle)) ** 2
                    value = value * (1 + strength * np.exp(-((d2 / (2 * sigma**2)) ** 2)))
        positive: NDArray[np.float32] = np.maximum(value, 0.02).astype(np.float32)
        return positive


class _Outline(NamedTuple):
    """A nucleus: centre and size (pixels), axis stretch and angle, radial waves of order 2..5, brightness."""

    y: float
    x: float
    size: float
    stretch: float
    angle: float
    wave: tuple[float, ...]
    phase: tuple[float, ...]
    brightness: float
    condensed: bool

    def radius(self, y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance from the centre in units of the outline's radius in that direction: below 1 inside."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along = ((x - self.x) * cos + (y - self.y) * sin) / (self.size * self.stretch)
        across = ((y - self.y) * cos - (x - self.x) * sin) / (self.size / self.stretch)
        theta = np.arctan2(across, along)
        rim = np.ones_like(theta)
        for order, (wave, phase) in enumerate(zip(self.wave, self.phase, strict=True), start=2):
            rim += np.float32(wave) * np.cos(order * theta + np.float32(phase))
        result: NDArray[np.float32] = np.hypot(along, across) / np.maximum(rim, 0.3)
        return result


def _window(
    outline: _Outline, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32], NDArray[np.float32]]:
    """The box around an outline within the field, with the coordinates of its pixel centres."""
    reach = 1.5 * outline.size * outline.stretch + 1
    spans = []
    for centre, length in zip((outline.y, outline.x), shape, strict=True):
        spans.append(slice(max(0, int(centre - reach)), max(0, min(length, int(centre + reach) + 1))))
    y = np.arange(spans[0].start, spans[0].stop, dtype=np.float32)[:, None]
    x = np.arange(spans[1].start, spans[1].stop, dtype=np.float32)[None, :]
    return (spans[0], spans[1]), y, x
