"""Two small domains that differ in brightness, and a network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anyscope.adaptation.domains import Domains
from anyscope.adaptation.work import Work
from anyscope.datasets import open_dataset
from anyscope.images import write_image, write_labels
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.settings import train_settings


def blobs(seed, shape=(2, 96, 120), sigma_px=5.0):
    """A mask (z, y, x) of round objects."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0.5, sigma_px, sigma_px))
    return (noise > 1.2 * noise.std()).astype(np.uint8)


def write_domain(folder, seed, *, bright, noise, images=2, shape=(2, 96, 120), labels=True, sigma_px=5.0):
    """A dataset of dark objects on a ground of the given brightness (grey levels of 8 bits)."""
    for number in range(images):
        mask = blobs(seed + number, shape, sigma_px)
        values = np.random.default_rng(seed + number).normal(bright - 40.0 * mask, noise)
        write_image(folder / "images" / f"{number}.tif", np.clip(values, 1, 255).astype(np.uint8)[None])
        if labels:
            write_labels(folder / "labels" / f"{number}.tif", mask)
    return open_dataset(folder)


@pytest.fixture
def domains(tmp_path):
    source = write_domain(tmp_path / "source", 0, bright=90, noise=12)
    target = write_domain(tmp_path / "target", 50, bright=190, noise=12, labels=False)
    return Domains(source.labelled(None), source.labelled(None), target.unlabelled(None))


@pytest.fixture
def work(domains, tmp_path):
    """What a step is given; grey levels are those of 8 bits, so that the domains differ in brightness."""
    settings = train_settings(patch_px=48, intensity="dtype", batch=2, model="unet_small")
    spec = SegmenterSpec(model="unet_small", task="semantic", intensity=settings.intensity)
    segmenter = build_segmenter(spec, 0)
    return Work(domains, settings, tmp_path / "run" / "step", "cpu", segmenter)
