"""Counts made by hand, and a tiny assay on real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyscope.assay.conditions import Condition
from anyscope.assay.tally import Tally
from anyscope.datasets.synthetic import synthetic_images, write_synthetic
from anyscope.microscope import MICROSCOPES
from anyscope.models import SegmenterSpec, build_segmenter, save_segmenter


def tally_of(scores: dict[str, list[list[float]]], conditions: list[str], pixels: int = 1000) -> Tally:
    """Counts whose scores are those given, by model: (conditions, images); NaN makes a missing cell."""
    table = np.array(list(scores.values()), float)
    counts = np.stack([table * pixels, (1 - table) * pixels, 0 * table], axis=-1)[..., None, :]
    images = tuple(f"i{n}" for n in range(table.shape[2]))
    return Tally("mask", tuple(scores), tuple(Condition.parse(key) for key in conditions), images, counts)


@pytest.fixture(scope="session")
def nuclei(tmp_path_factory) -> Path:
    """A dataset as ``data synth`` writes it: 12 small images."""
    root = tmp_path_factory.mktemp("nuclei") / "data"
    settings = MICROSCOPES["reference"].settings("nuclei")
    images = synthetic_images("nuclei", settings, count=12, shape=(64, 72), seed=3)
    write_synthetic(root, images, settings.image_pixel_size_nm)
    return root


def save_tiny(folder: Path, seed: int, **changes: object) -> Path:
    """A random network of a few thousand parameters."""
    plain = {"model": "unet_simple", "arguments": {"filters": [4, 8]}, "task": "semantic", **changes}
    save_segmenter(build_segmenter(SegmenterSpec.model_validate(plain), seed), folder / "segmenter")
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory) -> list[Path]:
    """Two random networks."""
    root = tmp_path_factory.mktemp("networks")
    return [save_tiny(root / "one", 0), save_tiny(root / "two", 1)]
