from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch

from anyscope.corruptions import Acquisition
from anyscope.corruptions.fluorescence import acquisition_of_record
from anyscope.microscope import MICROSCOPES, Camera, SyntheticImage, synthesise

QUIET = Camera(kind="ccd", quantum_efficiency=1.0, dark_current_e_per_s=0, read_noise_e=0, full_well_e=1e9, bits=16)


@lru_cache
def synthetic(count: int = 2, size: int = 96, specimen: str = "mitochondria", microscope: str = "reference"):
    settings = MICROSCOPES[microscope].settings(specimen)
    return tuple(synthesise(specimen, settings, 4, index, (size, size)) for index in range(count))


def taken(images: tuple[SyntheticImage, ...]) -> tuple[torch.Tensor, Acquisition]:
    """The images [B, 1, 1, H, W] in 0..1 of their percentiles, and how they were taken."""
    ranges = [tuple(np.percentile(image.image, (0.1, 99.9))) for image in images]
    acquisition = acquisition_of_record(
        [image.record for image in images],
        [image.signal for image in images],
        ranges,
        [image.labels for image in images],
    )
    unit = [(image.image - low) / (high - low) for image, (low, high) in zip(images, ranges, strict=True)]
    return torch.from_numpy(np.stack(unit).astype(np.float32))[:, None, None].clamp(0, 1), acquisition


@pytest.fixture(scope="session")
def exact() -> tuple[torch.Tensor, Acquisition]:
    """Two synthetic images of the reference microscope with their acquisition."""
    return taken(synthetic())


@pytest.fixture(scope="session")
def flat() -> Callable[..., Acquisition]:
    """An exact acquisition of even light by a given camera, whose grey levels are digital numbers."""

    def make(photons: torch.Tensor | float, camera: Camera = QUIET, size: int = 256) -> Acquisition:
        light = torch.full((1, 1, 1, size, size), photons) if isinstance(photons, float) else photons
        zero = torch.zeros(len(light))
        optics = MICROSCOPES["reference"].objectives["organelles"]
        return Acquisition(light, True, None, optics, camera, zero, zero + 1)

    return make
