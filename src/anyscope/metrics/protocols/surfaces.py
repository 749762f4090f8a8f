"""Protocols that measure how far boundaries are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Task
from anyscope.errors import BadInput
from anyscope.metrics.contingency import contingency
from anyscope.metrics.morphology import as_voxel_size
from anyscope.metrics.overlap import ratio
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol, Volumes, is_empty
from anyscope.metrics.surface import (
    average_surface_distance,
    harmonic_mean,
    hausdorff,
    surface_distances,
    within_tolerance,
)


@dataclass(frozen=True)
class Surface(EvaluationProtocol):
    """Masks by their boundaries: F1 within a tolerance, 95 % Hausdorff distance, average surface distance.

    Traps: distances are undefined where only one of the masks has a boundary, so a network that predicts nothing is
    left out of their mean: read them beside boundary F1, which is 0 there. Touching objects are one mask: boundaries
    between them do not count. Pooled distances weigh every boundary pixel the same.

    Args:
        tolerance_px: Tolerance of boundary F1 in pixels (geometric mean of y and x), at least 0.
    """

    name: ClassVar[str] = "surface"
    task: ClassVar[Task] = "semantic"
    summary: ClassVar[str] = "boundary F1, 95 % Hausdorff distance, average surface distance of masks"
    source: ClassVar[str] = "Csurka et al., BMVC 2013; Heimann et al., IEEE Trans. Medical Imaging 28:1251 (2009)"
    headline: ClassVar[str] = "boundary_f1"
    errors: ClassVar[frozenset[str]] = frozenset({"hausdorff95", "average_surface_distance"})

    tolerance_px: float = 2.0

    @property
    def conventions(self) -> dict[str, str]:
        return {
            "foreground": "every label that is not 0",
            "boundary": "mask pixels with a face neighbour outside the mask; the edge of the image makes no boundary",
            "ignored": self._ignored() + ": background in both masks",
            "dimensions": "3D where the size of a voxel along z is known, otherwise slice by slice",
            "unit": "nm where the voxel size is known, otherwise pixels; never mixed",
            "threshold": f"boundary F1 within {self.tolerance_px:g} pixels",
            "hausdorff95": "the larger of the two directed 95 % percentiles, interpolated linearly",
            "predicted 0": "background",
        }

    def _measure(self, volumes: Volumes) -> Counts:
        table = contingency(volumes.reference, volumes.prediction, self.ignore)
        voxel = None if volumes.voxel_size_nm is None else as_voxel_size(volumes.voxel_size_nm)
        scored = ~np.isin(volumes.reference, list(self.ignore))
        masks = (volumes.reference != 0) & scored, (volumes.prediction != 0) & scored
        if voxel is not None and voxel.z is not None:
            parts, spacing = [masks], (voxel.z, voxel.y, voxel.x)
        else:
            parts = [(masks[0][z : z + 1], masks[1][z : z + 1]) for z in range(len(masks[0]))]
            spacing = (1.0, 1.0, 1.0) if voxel is None else (1.0, voxel.y, voxel.x)
        tolerance = self.tolerance_px * (1.0 if voxel is None else voxel.in_plane)
        counts = [self._part(reference, prediction, spacing, tolerance) for reference, prediction in parts]
        pooled = self.pool(counts)
        calibrated = {"calibrated": np.array(int(voxel is not None))}
        rows = {name: _joined(histogram) for name, histogram in pooled.rows.items()}
        return Counts(pooled.sums | calibrated, rows, empty=int(is_empty(table)))

    @staticmethod
    def _part(
        reference: NDArray[np.bool_],
        prediction: NDArray[np.bool_],
        spacing: tuple[float, float, float],
        tolerance: float,
    ) -> Counts:
        distances = surface_distances(reference, prediction, spacing)
        near = [within_tolerance(each, tolerance) for each in (distances.from_reference, distances.from_prediction)]
        pixels = [near[0], distances.reference_pixels, near[1], distances.prediction_pixels]
        rows = {"from_reference": distances.from_reference, "from_prediction": distances.from_prediction}
        return Counts({"pixels": np.array(pixels, np.int64)}, rows)

    def _scores(self, counts: Counts) -> dict[str, float]:
        calibrated = int(counts.sums["calibrated"])
        if 0 < calibrated < counts.images:
            found = f"known for {calibrated} of {counts.images} images"
            raise BadInput("voxel size", found, "one for each image, or for none, to add distances")
        near_reference, reference, near_prediction, prediction = counts.sums["pixels"].tolist()
        precision, recall = ratio(near_prediction, prediction), ratio(near_reference, reference)
        histograms = _joined(counts.rows["from_reference"]), _joined(counts.rows["from_prediction"])
        return {
            "boundary_f1": harmonic_mean(precision, recall),
            "boundary_precision": precision,
            "boundary_recall": recall,
            "hausdorff95": hausdorff(*histograms, percentile=95),
            "average_surface_distance": average_surface_distance(*histograms),
        }


def _joined(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The histogram with equal distances added."""
    distances, place = np.unique(histogram[:, 0], return_inverse=True)
    return np.stack([distances, np.bincount(place, histogram[:, 1], distances.size)], axis=1)
