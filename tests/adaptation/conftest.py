"""Two domains of discs: a source with labels, and a target that is darker, coarser and noisier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyscope.adaptation.domains import Domains
from anyscope.adaptation.work import Work
from anyscope.datasets import open_dataset
from anyscope.images import write_image, write_labels
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.settings import train_settings

TINY = {
    "model": "unet_simple",
    "arguments": {"filters": [4, 8]},
    "patch_px": 32,
    "batch": 2,
    "epochs": 2,
    "steps_per_epoch": 3,
    "learning_rate": 0.02,
}


def write_discs(
    root: Path, *, count: int = 4, shape=(48, 56), radius=6.0, level=(40, 160), noise=8.0, seed=0, labels=True
) -> Path:
    """A dataset of discs; ``level`` is that of the ground and of the discs."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    for number in range(count):
        random = np.random.default_rng([seed, number])
        mask = np.zeros(shape, bool)
        for _ in range(4):
            centre = random.integers(4, [shape[0] - 4, shape[1] - 4])
            mask |= (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        image = random.normal(level[0], noise, shape) + (level[1] - level[0]) * mask
        write_image(root / "images" / f"i{number}.tif", image.clip(0, 255).astype(np.uint8)[None, None])
        if labels:
            write_labels(root / "labels" / f"i{number}.tif", mask.astype(np.uint8)[None])
    return root


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory):
    root = write_discs(tmp_path_factory.mktemp("adaptation") / "source", count=6)
    (root / "dataset.yaml").write_text(
        "labels: mask\nsplit:\n"
        "  train: {i0: '[:, :]', i1: '[:, :]', i2: '[:, :]', i3: '[:, :]'}\n"
        "  val: {i4: '[:, :]'}\n  test: {i5: '[:, :]'}\n"
    )
    return root


@pytest.fixture(scope="session")
def target_folder(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("adaptation") / "target", level=(30, 90), noise=14, seed=1, labels=False)


@pytest.fixture
def domains(source_folder, target_folder):
    source, target = open_dataset(source_folder), open_dataset(target_folder)
    return Domains(source.labelled("train"), source.labelled("val"), target.unlabelled(None))


@pytest.fixture
def make_work(domains, tmp_path):
    """A function that makes the work a step begins with; keywords change settings of training."""

    def make(folder="step", *, channels=1, **changes) -> Work:
        settings = train_settings(**{**TINY, **changes})
        spec = SegmenterSpec(
            model=settings.model,
            arguments=settings.arguments,
            task=settings.task,
            heads=settings.heads,
            channels=channels,
            intensity=settings.intensity,
        )
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        segmenter = build_segmenter(spec, settings.seed)
        return Work(domains, settings, path, "cpu", segmenter, source_input=spec.input)

    return make


@pytest.fixture
def work(make_work):
    return make_work()


@pytest.fixture
def trained_work(make_work):
    """The same after a very short training."""
    from anyscope.adaptation.supervised import Supervised

    begun = make_work("training", epochs=4, steps_per_epoch=10)
    Supervised().run(begun)
    folder = begun.folder.parent / "refinement"
    folder.mkdir()
    return replace(begun, folder=folder, trained=True)
