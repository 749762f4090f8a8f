"""Small dataset folders on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from anyscope.images import write_image, write_labels


@pytest.fixture
def make_dataset(tmp_path):
    """Write a dataset folder: stems to (image (z, y, x), labels (z, y, x) or None), and its description."""

    def make(pairs, description=None, name="data") -> Path:
        root = tmp_path / name
        (root / "images").mkdir(parents=True)
        for stem, (image, labels) in pairs.items():
            write_image(root / "images" / f"{stem}.tif", np.asarray(image)[None])
            if labels is not None:
                write_labels(root / "labels" / f"{stem}.tif", np.asarray(labels))
        if description is not None:
            (root / "dataset.yaml").write_text(yaml.safe_dump(description))
        return root

    return make


@pytest.fixture
def blobs():
    """An image with two square objects, and its labels, both (z, y, x)."""

    def make(seed=0, shape=(1, 64, 64)):
        random = np.random.default_rng(seed)
        labels = np.zeros(shape, np.uint8)
        labels[:, 8:20, 8:20], labels[:, 30:50, 30:44] = 1, 2
        image = random.integers(0, 60, shape) + 120 * (labels > 0)
        return image.astype(np.uint8), labels

    return make
