"""How far images are from others in what they look like: spectra, grey levels, and statistics of a bank of filters.

The distance of filter statistics is Frechet's, of Gaussians fitted to both sets, as in the Frechet inception distance
(Heusel et al., NeurIPS 2017, arXiv 1706.08500); but of derivatives at several scales instead of a network for
photographs, so that it needs no weights and every number in it has a meaning. Two halves of the real images give the
distance that chance alone makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from anyscope.adaptation.appearance import histogram_distance, measure_appearance, spectrum_distance
from anyscope.errors import BadInput

Floats = NDArray[np.float32]
_SCALES_PX = (1.0, 2.0, 4.0, 8.0)
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_CROP_PX = 96
_MOST_CROPS = 400
_LEAST_CROPS = 8


@dataclass(frozen=True)
class Realism:
    """Distances between two sets of images, 0 where they look alike.

    Args:
        spectrum: Mean difference of the radial spectra in decades of power.
        levels: Wasserstein distance of the grey levels, 0..1.
        features: Frechet distance of filter statistics, in units of the reference's own variation.
        chance: The same between two random halves of the reference.
        crops: Crops that were compared, of the images and of the reference.
    """

    spectrum: float | None
    levels: float
    features: float
    chance: float
    crops: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def compare_sets(images: Sequence[Floats], reference: Sequence[Floats], random: np.random.Generator) -> Realism:
    """Compare images (y, x) in 0..1 with reference images.

    Raises:
        BadInput: Too few crops for statistics.
    """
    crops = [_crops(each, random) for each in (images, reference)]
    for name, found in zip(("images", "reference"), crops, strict=True):
        if len(found) < _LEAST_CROPS:
            raise BadInput(name, f"{len(found)} crops of {_CROP_PX} pixels", f"at least {_LEAST_CROPS}", "more images")
    features = [np.stack([filter_statistics(crop) for crop in found]) for found in crops]
    centre, scale = features[1].mean(axis=0), np.maximum(features[1].std(axis=0), 1e-3)
    one, other = ((each - centre) / scale for each in features)
    half = random.permutation(len(other))
    looks = [measure_appearance([plane[None] for plane in each]) for each in (images, reference)]
    return Realism(
        spectrum=spectrum_distance(looks[0].spectrum, looks[1].spectrum),
        levels=histogram_distance(looks[0].levels, looks[1].levels),
        features=frechet_distance(one, other),
        chance=frechet_distance(other[half[::2]], other[half[1::2]]),
        crops=(len(one), len(other)),
    )


def _crops(planes: Sequence[Floats], random: np.random.Generator) -> list[Floats]:
    """Crops that do not overlap, at most so many, drawn evenly; smaller images whole."""
    places = [
        (number, y, x)
        for number, plane in enumerate(planes)
        for y in range(0, max(1, plane.shape[0] - _CROP_PX + 1), _CROP_PX)
        for x in range(0, max(1, plane.shape[1] - _CROP_PX + 1), _CROP_PX)
    ]
    chosen = sorted(random.permutation(len(places))[:_MOST_CROPS].tolist())
    cut = [places[place] for place in chosen]
    return [planes[number][y : y + _CROP_PX, x : x + _CROP_PX] for number, y, x in cut]


def filter_statistics(plane: Floats) -> NDArray[np.float64]:
    """Quantiles of the grey levels, and at 4 scales the logarithms of mean, spread and 95th percentile of the gradient
    and of the absolute Laplacian of a plane (y, x)."""
    values = plane.astype(np.float64)
    found = list(np.quantile(values, _QUANTILES))
    for sigma in _SCALES_PX:
        for response in (
            ndimage.gaussian_gradient_magnitude(values, sigma) * sigma,
            np.abs(ndimage.gaussian_laplace(values, sigma)) * sigma**2,
        ):
            numbers = (response.mean(), response.std(), np.quantile(response, 0.95))
            found += [float(np.log10(max(number, 1e-5))) for number in numbers]
    return np.array(found)


def frechet_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of vectors (n, d)."""
    means = [each.mean(axis=0) for each in (one, other)]
    c1, c2 = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other))
    # tr (C1 C2)^1/2 through the symmetric C1^1/2 C2 C1^1/2, whose eigenvalues are real
    values, vectors = linalg.eigh(c1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(linalg.eigvalsh(root @ c2 @ root), 0)).sum()
    return float(np.sum((means[0] - means[1]) ** 2) + np.trace(c1) + np.trace(c2) - 2 * cross)
