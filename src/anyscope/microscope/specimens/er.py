"""Endoplasmic reticulum: a polygonal network of tubules with three-way junctions, sheets, nuclear envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray

from anyscope.microscope.specimens.cells import NuclearEnvelopes
from anyscope.microscope.specimens.sample import Sample, Scale, components, smooth_noise
from anyscope.microscope.specimens.tubules import arcs, paint

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EndoplasmicReticulum:
    """The reticulum of flat cells.

    Tubules follow the borders of a Voronoi tessellation, whose corners are junctions of exactly three; polygons grow
    with the distance from the nucleus, near which perforated sheets take over. An object is a connected piece
    (8 neighbours) of the projection; most of a cell's reticulum is one object, so its natural task is the mask.

    Args:
        tubule_um: Apparent diameter of a tubule.
        polygon_um: Mean distance of neighbouring polygons at the nucleus.
        coarsening: Relative growth of the polygons from the nucleus to ``reach_um``.
        broken: Fraction of tubules that are missing or end blindly.
        bend: Standard deviation of the sideways deviation of a tubule, relative to its length.
        reach_um: Distance from the nucleus at which sheets are gone.
        sheets: Share of the area that sheets take at the nucleus, 0..1.
        brightness_spread: Standard deviation of the logarithm of the brightness (coarse variation).
        cell_spacing_um: Distance of neighbouring nuclei.
        nucleus_um: Mean radius of a nucleus.
    """

    scale: ClassVar[Scale] = "organelles"

    tubule_um: float = 0.22
    polygon_um: float = 1.0
    coarsening: float = 0.9
    broken: float = 0.14
    bend: float = 0.07
    reach_um: float = 9.0
    sheets: float = 0.55
    brightness_spread: float = 0.2
    cell_spacing_um: float = 34.0
    nucleus_um: float = 7.0

    def __call__(self, generator: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> Sample:
        """Draw a field of ``shape`` (y, x); see :class:`~anyscope.microscope.specimens.sample.Specimen`."""
        pixel_um = pixel_size_nm / 1000
        nuclei = NuclearEnvelopes.draw(generator, shape, self.cell_spacing_um / pixel_um, self.nucleus_um / pixel_um)
        y, x = (np.arange(length, dtype=np.float32) for length in shape)
        distance_um: NDArray[np.float32] = nuclei.distance(y[:, None], x[None, :]) * np.float32(pixel_um)
        density = self._network(generator, shape, nuclei, pixel_um)
        density[distance_um < 0] = 0
        sheet = self._sheet(generator, distance_um, pixel_um)
        density[sheet] = np.maximum(density[sheet], 0.55)
        envelope = np.abs(distance_um) < max(self.tubule_um / 2, pixel_um)
        density[envelope] = np.maximum(density[envelope], 0.7)
        density *= np.exp(self.brightness_spread * smooth_noise(generator, shape, 3.0 / pixel_um))
        density *= np.exp(0.15 * smooth_noise(generator, shape, max(0.2 / pixel_um, 0.7)))
        return Sample(components(density > 0), density)

    def _network(
        self, generator: np.random.Generator, shape: tuple[int, int], nuclei: NuclearEnvelopes, pixel_um: float
    ) -> NDArray[np.float32]:
        """The tubules, drawn."""
        corners, edges = self._polygons(generator, shape, nuclei, pixel_um)
        edges = edges[generator.random(len(edges)) > self.broken / 2]
        blind = generator.random(len(edges)) < self.broken / 2
        stops = np.where(blind, generator.uniform(0.3, 0.7, len(edges)), 1.0)
        bends = self.bend * generator.standard_normal(len(edges))
        widths = np.exp(0.12 * generator.standard_normal(len(edges)))
        path, edge = arcs(corners[edges[:, 0]], corners[edges[:, 1]], bends, stops)
        radius = self.tubule_um / 2 / pixel_um * widths[edge]
        return paint(shape, path, radius, np.full(len(path), 0.75))

    def _polygons(
        self, generator: np.random.Generator, shape: tuple[int, int], nuclei: NuclearEnvelopes, pixel_um: float
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Corners (n, 2) and edges (m, 2) of a relaxed Voronoi tessellation that coarsens away from the nuclei."""
        margin = 3 * self.polygon_um / pixel_um
        size = np.asarray(shape) + 2 * margin
        pitch = self.polygon_um / pixel_um
        wanted = max(12, int(size[0] * size[1] / pitch**2))
        seeds = generator.uniform(-margin, np.asarray(shape) + margin, (wanted, 2))
        away_um = nuclei.distance(seeds[:, 0], seeds[:, 1]) * pixel_um
        growth = 1 + self.coarsening * np.clip(away_um / self.reach_um, 0, 1)
        seeds = seeds[generator.random(wanted) < growth**-2.0]
        if len(seeds) < 12:
            seeds = generator.uniform(-margin, np.asarray(shape) + margin, (12, 2))
        tessellation = scipy.spatial.Voronoi(_relaxed(seeds))
        edges = np.array([ridge for ridge in tessellation.ridge_vertices if min(ridge) >= 0], dtype=np.intp)
        corners: Floats = tessellation.vertices
        inside = np.all((corners > -2 * margin) & (corners < np.asarray(shape) + 2 * margin), axis=1)
        return corners, edges[np.all(inside[edges], axis=1)]

    def _sheet(
        self, generator: np.random.Generator, distance_um: NDArray[np.float32], pixel_um: float
    ) -> NDArray[np.bool_]:
        """Mask of the sheets: smooth patches that thin out away from the nucleus, with small holes."""
        shape = (distance_um.shape[0], distance_um.shape[1])
        patches = smooth_noise(generator, shape, 0.9 / pixel_um)
        holes = smooth_noise(generator, shape, max(0.16 / pixel_um, 0.8))
        share = self.sheets * np.clip(1 - distance_um / self.reach_um, 0, 1) ** 1.5
        level = -scipy.special.ndtri(np.clip(share, 1e-6, 1 - 1e-6))
        mask: NDArray[np.bool_] = (distance_um > 0) & (patches > level) & (holes < 1.7)
        return mask


def _relaxed(seeds: Floats) -> Floats:
    """Seeds pushed away from their nearest neighbour, which removes slivers among the polygons."""
    for _ in range(2):
        distance, index = scipy.spatial.cKDTree(seeds).query(seeds, k=2)
        away = seeds - seeds[index[:, 1]]
        typical = np.median(distance[:, 1])
        push = 0.35 * np.maximum(typical - distance[:, 1], 0) / np.maximum(distance[:, 1], 1e-9)
        seeds = seeds + push[:, None] * away
    return seeds
