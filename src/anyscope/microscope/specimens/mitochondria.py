"""Mitochondria: a network of branching, curved tubules around the nuclei, and fragments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray

from anyscope.microscope.specimens.cells import NuclearEnvelopes
from anyscope.microscope.specimens.sample import Sample, Scale, components, smooth_noise
from anyscope.microscope.specimens.tubules import STEP_PX, paint, wander

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mitochondria:
    """Mitochondria of adherent cells.

    An object is a connected piece (8 neighbours) of the projection: mitochondria that touch or cross are one object,
    because no two-dimensional image can tell them apart.

    Args:
        width_um: Mean diameter of a tubule.
        width_spread: Standard deviation of the logarithm of the diameter between mitochondria.
        beading: Relative variation of the diameter along a mitochondrion.
        length_um: Median length of a tubular mitochondrion.
        persistence_um: Distance over which a tubule keeps its direction.
        branches_per_um: Mean number of branches per length.
        fragmented: Fraction of mitochondria that are short rods or spheres.
        per_1000_um2: Mean number of mitochondria in 1000 square micrometres of the field.
        perinuclear_um: Distance from the nucleus over which they become rarer.
        brightness_spread: Standard deviation of the logarithm of the brightness between mitochondria.
        cell_spacing_um: Distance of neighbouring nuclei.
        nucleus_um: Mean radius of a nucleus, which holds no mitochondria.
    """

    scale: ClassVar[Scale] = "organelles"

    width_um: float = 0.45
    width_spread: float = 0.15
    beading: float = 0.18
    length_um: float = 4.0
    persistence_um: float = 5.0
    branches_per_um: float = 0.1
    fragmented: float = 0.35
    per_1000_um2: float = 100.0
    perinuclear_um: float = 9.0
    brightness_spread: float = 0.35
    cell_spacing_um: float = 36.0
    nucleus_um: float = 7.0

    def __call__(self, generator: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> Sample:
        """Draw a field of ``shape`` (y, x); see :class:`~anyscope.microscope.specimens.sample.Specimen`."""
        pixel_um = pixel_size_nm / 1000
        nuclei = NuclearEnvelopes.draw(generator, shape, self.cell_spacing_um / pixel_um, self.nucleus_um / pixel_um)
        area_um2 = shape[0] * shape[1] * pixel_um**2
        wanted = max(1, int(generator.poisson(self.per_1000_um2 * area_um2 / 1000)))
        paths, radii, values = [], [], []
        for start in self._starts(generator, shape, nuclei, wanted, pixel_um):
            for path, radius, value in self._mitochondrion(generator, start, nuclei, pixel_um):
                paths.append(path)
                radii.append(radius)
                values.append(value)
        density = paint(shape, np.concatenate(paths), np.concatenate(radii), np.concatenate(values))
        density *= np.exp(0.18 * smooth_noise(generator, shape, max(0.25 / pixel_um, 0.7)))
        return Sample(components(density > 0), density)

    def _starts(
        self,
        generator: np.random.Generator,
        shape: tuple[int, int],
        nuclei: NuclearEnvelopes,
        wanted: int,
        pixel_um: float,
    ) -> Floats:
        """Points (n, 2) outside the nuclei, more of them nearby."""
        candidates = generator.uniform(0, shape, (12 * wanted + 50, 2))
        distance_um = nuclei.distance(candidates[:, 0], candidates[:, 1]) * pixel_um
        keep = (distance_um > 0.3) & (generator.random(len(candidates)) < np.exp(-distance_um / self.perinuclear_um))
        if not keep.any():
            keep[np.argmax(distance_um)] = True
        starts: Floats = candidates[keep][:wanted]
        return starts

    def _mitochondrion(
        self, generator: np.random.Generator, start: Floats, nuclei: NuclearEnvelopes, pixel_um: float
    ) -> list[tuple[Floats, Floats, Floats]]:
        """Paths of trunk and branches with radius and brightness at each point, in pixels."""
        fragment = generator.random() < self.fragmented
        if fragment:
            length_um = generator.uniform(0.05, 1.2)
        else:
            length_um = self.length_um * np.exp(0.6 * generator.standard_normal())
        width = self.width_um * np.exp(self.width_spread * generator.standard_normal()) * (1.2 if fragment else 1.0)
        brightness = min(0.6 * np.exp(self.brightness_spread * generator.standard_normal()), 2.0)
        heading = nuclei.outward(*start) + generator.normal(0, 1.0)
        trunk = self._path(generator, start, heading, length_um, nuclei, pixel_um)
        paths = [trunk]
        branches = 0 if fragment or len(trunk) < 3 else int(generator.poisson(self.branches_per_um * length_um))
        for _ in range(branches):
            at = int(generator.integers(1, len(trunk) - 1))
            before = trunk[max(0, at - 8)]
            along = np.arctan2(trunk[at, 0] - before[0], trunk[at, 1] - before[1])
            turn = generator.choice([-1, 1]) * generator.uniform(0.7, 1.6)
            branch_um = 0.5 * self.length_um * np.exp(0.6 * generator.standard_normal())
            paths.append(self._path(generator, trunk[at], along + turn, branch_um, nuclei, pixel_um))
        return [
            (path, *self._thickness(generator, len(path), width / pixel_um, brightness, pixel_um)) for path in paths
        ]

    def _path(
        self,
        generator: np.random.Generator,
        start: Floats,
        heading: float,
        length_um: float,
        nuclei: NuclearEnvelopes,
        pixel_um: float,
    ) -> Floats:
        """A wandering path, ended where it would enter a nucleus."""
        path = wander(generator, (start[0], start[1]), heading, length_um / pixel_um, self.persistence_um / pixel_um)
        inside = nuclei.distance(path[:, 0], path[:, 1]) < 0.3 / pixel_um
        return path[: max(1, int(np.argmax(inside)))] if inside.any() else path

    def _thickness(
        self, generator: np.random.Generator, n: int, width_px: float, brightness: float, pixel_um: float
    ) -> tuple[Floats, Floats]:
        """Radius and brightness along a path of ``n`` points: beaded, and a little thinner towards the ends."""
        wave = scipy.ndimage.gaussian_filter1d(generator.standard_normal(n + 2), 0.5 / pixel_um / STEP_PX)[:n]
        wave /= max(float(wave.std()), 0.2) if n > 20 else 1.0
        end = np.minimum(np.arange(n), np.arange(n)[::-1]) * STEP_PX / max(width_px, 1e-6)
        radius = width_px / 2 * np.exp(self.beading * wave) * (0.8 + 0.2 * np.minimum(end, 1))
        return radius, np.full(n, brightness)
