"""Painters: what makes the light of a scene, noise-free, in 0..1. A camera then takes its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from anyscope.adaptation.appearance import radial_spectrum, spectrum_distance
from anyscope.microscope.specimens.sample import smooth_noise
from anyscope.models.translator import to_unit_range
from anyscope.synthesis.maps import painter_maps
from anyscope.synthesis.scenes import Scene

Floats = NDArray[np.float32]

BLURS_PX = tuple(float(value) for value in np.geomspace(0.5, 5, 8).round(2))
TEXTURES = (0.0, 0.1, 0.2, 0.35)
ROUNDNESSES = (0.0, 0.5, 1.0)
_TEXTURE_PX = 1.5
_STRIDE, _SMALLEST_PX = 4, 8
_MOST_COMPARED = 16


class Painter(Protocol):
    """Something that makes the light of a scene."""

    def paint(self, scene: Scene, random: np.random.Generator) -> Floats:
        """The light (y, x) in 0..1, without noise."""

    def describe(self) -> dict[str, Any]:
        """Plain data for records."""


@dataclass(frozen=True)
class PhysicalPainter:
    """Objects as bright as they were measured, with texture, blurred: no network.

        light = blur((1 - r + r t) exp(a n) level inside, background outside)

    with t the thickness of a projected ellipsoid (0 at the rim, 1 at the deepest place), n smooth normal noise; every
    object keeps its mean.

    Args:
        blur_px: Standard deviation of the point spread.
        texture: a.
        roundness: r; 0 for flat objects, as a thin optical section shows them.

    Source: the synthesis without a network by the authors of the robustness assay, with brightness scene from that of
    real foreground and a Gaussian point spread (doi 10.1186/s12859-024-05894-4 and its predecessor of 2018).
    """

    blur_px: float
    texture: float
    roundness: float

    def paint(self, scene: Scene, random: np.random.Generator) -> Floats:
        """See :class:`Painter`."""
        labels = scene.labels
        ids = np.arange(1, len(scene.levels) + 1)
        value = np.exp(self.texture * smooth_noise(random, labels.shape, _TEXTURE_PX))
        if self.roundness:
            value *= 1 - self.roundness + self.roundness * _thickness(labels, ids)
        means = np.maximum(ndimage.mean(value, labels, ids), 1e-6)
        contrast = np.concatenate([[0.0], (scene.levels - scene.background) / means])[labels] * value
        light = scene.background + ndimage.gaussian_filter(contrast, self.blur_px)
        return np.asarray(np.clip(light, 0, 1), np.float32)

    def describe(self) -> dict[str, Any]:
        """See :class:`Painter`."""
        return {"by": "physics", **asdict(self)}


def _thickness(labels: NDArray[np.int32], ids: NDArray[np.int_]) -> NDArray[np.float64]:
    """sqrt(1 - (1 - d)^2), d the depth relative to the object's deepest place."""
    depth = np.zeros(labels.shape)
    for number, box in enumerate(ndimage.find_objects(labels, max_label=len(ids)), start=1):
        if box is not None:
            own = labels[box] == number
            inside = ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
            depth[box][own] = (inside / inside.max())[own]
    return np.sqrt(np.clip(1 - (1 - depth) ** 2, 0, 1))


def fit_physics(pairs: Sequence[tuple[Scene, Floats]], random: np.random.Generator) -> PhysicalPainter:
    """The blur, texture and roundness whose images of real scenes have the spectra of the cleaned real images.

    Args:
        pairs: Scenes and their cleaned images (y, x); some of them are compared.
        random: For choosing them, and for texture.
    """
    chosen = [pairs[int(place)] for place in random.permutation(len(pairs))[:_MOST_COMPARED]]
    wanted = [radial_spectrum(image.astype(np.float64)) for _, image in chosen]
    seed = int(random.integers(2**62))
    best: tuple[float, PhysicalPainter] | None = None
    for blur, texture, roundness in product(BLURS_PX, TEXTURES, ROUNDNESSES):
        painter = PhysicalPainter(blur, texture, roundness)
        distances = []
        for (scene, _), spectrum in zip(chosen, wanted, strict=True):
            made = painter.paint(scene, np.random.default_rng(seed))
            distance = spectrum_distance(spectrum, radial_spectrum(made.astype(np.float64)))
            if distance is not None:
                distances.append(distance)
        mean = float(np.mean(distances)) if distances else float("inf")
        if best is None or mean < best[0]:
            best = mean, painter
    if best is None:
        raise AssertionError("the grid is not empty")
    return best[1]


@dataclass(frozen=True, eq=False)
class LearnedPainter:
    """A generator that was trained on real images.

    Args:
        generator: From the maps of a scene to an image, both in -1..1.
        record: Where it comes from, for records.
        device: Where it runs.
    """

    generator: nn.Module
    record: dict[str, Any]
    device: str = "cpu"

    @torch.no_grad()
    def paint(self, scene: Scene, random: np.random.Generator) -> Floats:
        """See :class:`Painter`."""
        maps = torch.from_numpy(painter_maps(scene, random))[None].to(self.device)
        height, width = scene.labels.shape
        missing = [-(-max(length, _SMALLEST_PX) // _STRIDE) * _STRIDE - length for length in (height, width)]
        maps = nn.functional.pad(maps, (0, missing[1], 0, missing[0]), mode="replicate")
        made = to_unit_range(self.generator.eval()(maps))[0, 0, :height, :width]
        return np.asarray(made.cpu().numpy(), np.float32)

    def describe(self) -> dict[str, Any]:
        """See :class:`Painter`."""
        return {"by": "learned", **self.record}
