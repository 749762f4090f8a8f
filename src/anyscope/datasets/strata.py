"""Strata: a labelled dataset divided by how its images were acquired, each stratum a dataset of its own.

They are how degradation is observed without being simulated: train on one acquisition, test on the others.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from anyscope.datasets.folder import Dataset, LabelledRegion
from anyscope.errors import BadInput, explain_os_errors
from anyscope.running.atomic import atomic_folder

SNR_NAMES = {2: ("snr-low", "snr-high"), 3: ("snr-low", "snr-middle", "snr-high")}


def measured_snr(region: LabelledRegion) -> float:
    """SNR = (mean_fg - mean_bg) / sigma_bg of an image by its labels, of the first channel.

    The background is taken as it is, structure and all: what can be measured on a real image (the robustness assay, doi
    10.1186/s12859-024-05894-4). Objects darker than the background count by the size of their contrast. NaN without
    foreground or background, infinite on a background without any noise.
    """
    labels, valid = region.read_reference("semantic")
    image = region.image.read(region.roi)[0].astype(np.float64)
    inside, outside = (labels > 0) & valid, (labels == 0) & valid
    if not inside.any() or not outside.any():
        return float("nan")
    contrast, noise = abs(image[inside].mean() - image[outside].mean()), image[outside].std()
    return float(contrast / noise) if noise > 0 else float("inf")


def strata_of(dataset: Dataset, by: str, parts: int = 3) -> dict[str, list[str]]:
    """Stems of a dataset by the name of their stratum.

    Args:
        dataset: With labels.
        by: ``shape`` (height x width of an image), ``snr`` (equally large strata by measured SNR), or the path of a CSV
            file with the columns ``stem`` and ``group``.
        parts: Number of strata by SNR.

    Raises:
        BadInput: An unknown rule, a file that does not name every image, or fewer images than strata.
    """
    if by == "shape":
        groups = {stem: "x".join(map(str, image.shape[2:])) for stem, image in dataset.images.items()}
    elif by == "snr":
        values = {region.stem: measured_snr(region) for region in dataset.labelled(None)}
        known = sorted((stem for stem in values if not np.isnan(values[stem])), key=lambda stem: (values[stem], stem))
        if len(known) < parts:
            raise BadInput(dataset.root, f"{len(known)} images with a measurable SNR", f"at least {parts}")
        names = SNR_NAMES.get(parts) or tuple(f"snr-{number + 1}-of-{parts}" for number in range(parts))
        groups = {stem: names[place * parts // len(known)] for place, stem in enumerate(known)}
    elif Path(by).suffix == ".csv":
        groups = _read_groups(Path(by), dataset)
    else:
        raise BadInput(f"--by {by!r}", "no such rule", "shape, snr, or a CSV file with the columns stem and group")
    found: dict[str, list[str]] = {}
    for stem, group in groups.items():
        found.setdefault(group, []).append(stem)
    return {name: sorted(found[name]) for name in sorted(found)}


def write_strata(dataset: Dataset, strata: Mapping[str, list[str]], out: Path, force: bool = False) -> dict[str, Path]:
    """Write every stratum as a dataset folder below ``out``, whole or not at all; files are linked where possible.

    Declared splits are kept as far as they name the images of a stratum.

    Returns:
        The folders by name.
    """
    written = {}
    with atomic_folder(out, replace=force) as folder:
        for name, stems in strata.items():
            place = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
            for kind, images in (("images", dataset.images), ("labels", dataset.labels or {})):
                (folder / place / kind).mkdir(parents=True, exist_ok=True)
                for stem in stems:
                    _link(images[stem].path, folder / place / kind / images[stem].path.name)
            description = dataset.description.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            if dataset.description.split is not None:
                description["split"] = {
                    part: {stem: text for stem, text in regions.items() if stem in stems}
                    for part, regions in dataset.description.split.items()
                }
            description.setdefault("labels", dataset.kind)
            text = yaml.safe_dump(description, sort_keys=False)
            (folder / place / "dataset.yaml").write_text(text, encoding="utf-8")
            written[name] = out / place
    return written


def _read_groups(path: Path, dataset: Dataset) -> dict[str, str]:
    with explain_os_errors(path), open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"stem", "group"} <= rows[0].keys():
        raise BadInput(path, "columns " + ", ".join(rows[0] if rows else []), "the columns stem and group")
    groups = {row["stem"]: row["group"] for row in rows if row["stem"] in dataset.images}
    missing = sorted(set(dataset.images) - set(groups))
    if missing:
        raise BadInput(path, f"no group for {len(missing)} images ({missing[0]} ...)", "a line for every image")
    return groups


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(str(source), str(target))


def _link_file(source: str, target: str) -> None:
    try:
        os.link(Path(source).resolve(), target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
