"""``data synth``: a dataset folder of synthetic fluorescence images with exact truth.

Beside ``images/`` and ``labels/`` it holds ``signal/``, the noise-free expected photons of each image, and
``records/``, everything that made it. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images import write_image, write_labels
from anyscope.microscope import MicroscopeSettings, synthesise
from anyscope.microscope.specimens import SPECIMENS
from anyscope.running.atomic import atomic_folder


def write_synthetic(
    out: Path,
    specimen: str,
    settings: MicroscopeSettings,
    *,
    count: int,
    shape: tuple[int, int],
    seed: int,
    force: bool = False,
    done: Callable[[], None] = lambda: None,
) -> None:
    """Write a dataset of ``count`` images, whole or not at all.

    Args:
        out: The dataset folder to make.
        specimen: A name of :data:`anyscope.microscope.SPECIMENS`.
        settings: The microscope.
        count: Number of images.
        shape: Pixels (y, x) of each.
        seed: Seed of the dataset; image ``n`` does not depend on ``count``.
        force: Replace a folder that is there.
        done: Called after each image.
    """
    if count < 1:
        raise BadInput("count", f"{count}", "at least one image")
    SPECIMENS[specimen]
    size = VoxelSize(None, settings.image_pixel_size_nm, settings.image_pixel_size_nm)
    with atomic_folder(out, replace=force) as folder:
        for index in range(count):
            made = synthesise(specimen, settings, seed, index, shape)
            name = f"{specimen}-{index:04d}"
            write_image(folder / "images" / f"{name}.tif", made.image[None, None], size)
            write_labels(folder / "labels" / f"{name}.tif", made.labels[None], size)
            write_image(folder / "signal" / f"{name}.tif", made.signal[None, None], size)
            record = folder / "records" / f"{name}.json"
            record.parent.mkdir(exist_ok=True)
            record.write_text(json.dumps(made.record, indent=2) + "\n", encoding="utf-8")
            done()
        description = {"voxel_size_nm": [size.y, size.x], "labels": "instances", "objects": "2d"}
        (folder / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
