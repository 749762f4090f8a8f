"""Scenes of blobs whose brightness is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anyscope.synthesis.scenes import Scene


def blobs(seed, shape=(96, 80), radius=6, background=0.1):
    """Labels and a smooth, noise-free image of discs that do not touch."""
    random = np.random.default_rng(seed)
    labels, image = np.zeros(shape, np.int32), np.full(shape, background, np.float32)
    grid = np.mgrid[: shape[0], : shape[1]]
    for y in range(12, shape[0] - 8, 22):
        for x in range(12, shape[1] - 8, 22):
            inside = np.hypot(grid[0] - y, grid[1] - x) < radius
            labels[inside] = labels.max() + 1
            image[inside] = random.uniform(0.4, 0.9)
    return labels, ndimage.gaussian_filter(image, 1.0).astype(np.float32)


@pytest.fixture
def pairs():
    made = [blobs(seed) for seed in range(6)]
    return [(Scene.of(labels, image), image) for labels, image in made]


@pytest.fixture
def scenes(pairs):
    return [scene for scene, _ in pairs]
