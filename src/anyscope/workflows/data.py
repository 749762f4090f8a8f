"""``anyscope data``: look at dataset folders and make synthetic ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anyscope.datasets import open_dataset
from anyscope.datasets.check import Finding, check_dataset
from anyscope.datasets.strata import strata_of, write_strata
from anyscope.datasets.synthetic import synthetic_images, write_synthetic
from anyscope.datasets.synthetic_volume import check_volume, finest, write_synthetic_volume
from anyscope.errors import BadInput, unknown_name
from anyscope.images import ReadOptions
from anyscope.microscope import MICROSCOPES, MicroscopeSettings
from anyscope.running.atomic import refuse_existing
from anyscope.running.documents import explain
from anyscope.running.progress import progress


def data_check(folder: Path | str, *, read: ReadOptions | None = None) -> list[Finding]:
    """Look at every file of a dataset folder; see :func:`anyscope.datasets.check.check_dataset`."""
    return check_dataset(Path(folder), read)


def data_synth(
    out: Path | str,
    *,
    specimen: str = "nuclei",
    microscope: str = "reference",
    count: int = 20,
    shape: tuple[int, int] = (512, 512),
    seed: int = 0,
    changes: dict[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Make a synthetic dataset with exact truth; see :func:`anyscope.datasets.synthetic.synthetic_images`.

    Args:
        out: The dataset folder to make.
        specimen: A name of :data:`anyscope.microscope.SPECIMENS`.
        microscope: A name of :data:`anyscope.microscope.MICROSCOPES`.
        count: Number of images.
        shape: Pixels (y, x) of each.
        seed: Seed of the dataset.
        changes: Changed settings of the microscope, nested or with dotted keys, such as ``{"snr": 4}``.
        force: Replace a folder that is there.
    """
    out = Path(out)
    if not force:
        refuse_existing(out)
    settings = changed_settings(MICROSCOPES[microscope].settings(specimen), changes or {})
    if count < 1:
        raise BadInput("count", f"{count}", "at least one image")
    images = synthetic_images(specimen, settings, count=count, shape=shape, seed=seed)
    with progress("synthesise", count, "images") as shown:
        write_synthetic(out, images, settings.image_pixel_size_nm, force=force, done=shown.advance)
    open_dataset(out)
    return out


def data_volume(out: Path | str, shape: tuple[int, int, int], *, seed: int = 0, force: bool = False) -> Path:
    """Make a dataset of one synthetic volume of any size, written shard by shard.

    Args:
        out: The dataset folder to make.
        shape: Voxels (z, y, x).
        seed: Seed of the volume.
        force: Replace a folder that is there.

    Raises:
        BadInput: No object fits into it.
    """
    out = Path(out)
    if not force:
        refuse_existing(out)
    check_volume(shape)
    with progress("synthesise", len(finest(shape)), "shards") as shown:
        write_synthetic_volume(out, shape, seed, force=force, done=shown.advance)
    open_dataset(out)
    return out


def data_strata(
    folder: Path | str,
    out: Path | str,
    *,
    by: str = "shape",
    parts: int = 3,
    read: ReadOptions | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Divide a labelled dataset by acquisition; see :mod:`anyscope.datasets.strata`.

    Args:
        folder: The dataset folder.
        out: The folder to make, with a dataset folder for each stratum.
        by: ``shape``, ``snr``, or a CSV file with the columns stem and group.
        parts: Number of strata by SNR.
        read: How to read images where the files leave it open.
        force: Replace a folder that is there.
    """
    out = Path(out)
    if not force:
        refuse_existing(out)
    dataset = open_dataset(folder, read)
    return write_strata(dataset, strata_of(dataset, by, parts), out, force)


def changed_settings(settings: MicroscopeSettings, changes: dict[str, Any]) -> MicroscopeSettings:
    """The microscope with some settings replaced, validated; the error of a wrong one names its key."""
    plain = settings.model_dump()
    _replace(plain, changes, "")
    try:
        return MicroscopeSettings.model_validate(plain)
    except ValidationError as error:
        key, problem = explain(error)
        raise BadInput(f"setting {key!r}", problem) from None


def _replace(plain: dict[str, Any], changes: dict[str, Any], within: str) -> None:
    for key, value in changes.items():
        if key not in plain:
            raise unknown_name("setting", f"{within}{key}", (f"{within}{name}" for name in plain))
        if isinstance(value, dict) and isinstance(plain[key], dict):
            _replace(plain[key], value, f"{within}{key}.")
        else:
            plain[key] = value
