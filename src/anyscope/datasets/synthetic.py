"""``data synth``: a dataset folder of synthetic fluorescence images with exact truth.

Beside ``images/`` and ``labels/`` it holds ``signal/``, the noise-free expected photons of each image, and
``records/``, everything that made it. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from anyscope.geometry import VoxelSize
from anyscope.images import write_image, write_labels
from anyscope.microscope import MicroscopeSettings, synthesise
from anyscope.microscope.synthesis import SyntheticImage
from anyscope.running.atomic import atomic_folder


def write_synthetic(
    out: Path,
    images: Iterable[tuple[str, SyntheticImage]],
    pixel_size_nm: float | None,
    *,
    force: bool = False,
    done: Callable[[], None] = lambda: None,
) -> None:
    """Write a dataset of synthetic images, whole or not at all.

    Args:
        out: The dataset folder to make.
        images: Stems and images, one after the other.
        pixel_size_nm: Of all of them; None where unknown.
        force: Replace a folder that is there.
        done: Called after each image.
    """
    size = None if pixel_size_nm is None else VoxelSize(None, pixel_size_nm, pixel_size_nm)
    with atomic_folder(out, replace=force) as folder:
        for name, made in images:
            write_image(folder / "images" / f"{name}.tif", made.image[None, None], size)
            write_labels(folder / "labels" / f"{name}.tif", made.labels[None], size)
            write_image(folder / "signal" / f"{name}.tif", made.signal[None, None], size)
            record = folder / "records" / f"{name}.json"
            record.parent.mkdir(exist_ok=True)
            record.write_text(json.dumps(made.record, indent=2) + "\n", encoding="utf-8")
            done()
        description: dict[str, object] = {"labels": "instances", "objects": "2d"}
        if pixel_size_nm is not None:
            description = {"voxel_size_nm": [pixel_size_nm, pixel_size_nm], **description}
        (folder / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


def synthetic_images(
    specimen: str, settings: MicroscopeSettings, *, count: int, shape: tuple[int, int], seed: int
) -> Iterator[tuple[str, SyntheticImage]]:
    """Stems and images of a specimen; image ``n`` does not depend on ``count``.

    Args:
        specimen: A name of :data:`anyscope.microscope.SPECIMENS`.
        settings: The microscope.
        count: Number of images.
        shape: Pixels (y, x) of each.
        seed: Seed of the dataset.
    """
    for index in range(count):
        yield f"{specimen}-{index:04d}", synthesise(specimen, settings, seed, index, shape)
