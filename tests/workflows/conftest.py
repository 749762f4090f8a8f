"""A small dataset and a small run, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anyscope
from anyscope.images import write_image, write_labels
from anyscope.training.settings import TrainSettings, train_settings

TINY = {
    "model": "unet_simple",
    "arguments": {"filters": [4, 8]},
    "patch_px": 32,
    "batch": 4,
    "epochs": 2,
    "steps_per_epoch": 4,
    "learning_rate": 0.02,
    "validation_planes": 4,
}


def tiny(**changes: object) -> TrainSettings:
    """Settings of a training of seconds."""
    return train_settings(**{**TINY, **changes})


def write_blobs(root: Path, count: int = 12, shape: tuple[int, int] = (48, 56)) -> Path:
    """A dataset of bright discs on a dark, noisy ground."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    for number in range(count):
        random = np.random.default_rng(number)
        labels = np.zeros(shape, np.uint8)
        for name in range(1, 5):
            centre = random.integers(4, [shape[0] - 4, shape[1] - 4])
            labels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 25] = name
        image = random.normal(40, 8, shape) + 120 * (labels > 0)
        write_image(root / "images" / f"i{number}.tif", image.clip(0, 255).astype(np.uint8)[None, None])
        write_labels(root / "labels" / f"i{number}.tif", labels[None])
    (root / "dataset.yaml").write_text("labels: instances\n")
    return root


@pytest.fixture(scope="session")
def blobs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("blobs") / "data")


@pytest.fixture(scope="session")
def run(tmp_path_factory, blobs):
    out = tmp_path_factory.mktemp("run") / "run"
    anyscope.train(blobs, out, settings=tiny(epochs=6), device="cpu")
    return out
