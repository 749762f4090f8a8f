"""Networks of endoplasmic reticulum and mitochondria in fluorescence, as used in the robustness assay."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.pairs import Pair, write_pairs
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import take_val
from anyscope.images import read_labels

_SUFFIXES = (".tif", ".tiff", ".png")


def _mask(path: Path) -> NDArray[Any]:
    mask: NDArray[Any] = (read_labels(path)[0] > 0).astype(np.uint8)
    return mask


def _convert(published: Published, out: Path, folder: str) -> DeclaredSplit:
    pairs: list[Pair] = []
    stems: dict[str, list[str]] = {}
    for part in ("train", "test"):
        images = published.files(f"{folder}/{part}/images", _SUFFIXES)
        masks = {path.stem: path for path in published.files(f"{folder}/{part}/masks", _SUFFIXES)}
        lost = [path.stem for path in images if path.stem not in masks]
        if lost:
            raise published.missing(f"{folder}/{part}/masks/{lost[0]}")
        # The same names are given again in train and test.
        stems[part] = [f"{part}-{path.stem}" for path in images]
        pairs += [(f"{part}-{path.stem}", path, partial(_mask, masks[path.stem])) for path in images]
    write_pairs(out, pairs)
    train, val = take_val(stems["train"])
    return {
        "train": dict.fromkeys(train, ""),
        "val": dict.fromkeys(val, ""),
        "test": dict.fromkeys(stems["test"], ""),
    }


def _entry(name: str, folder: str, what: str) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        title=f"{folder} (CBMI)",
        modality="FM",
        summary=f"{what} in live cells, fluorescence.",
        size="Crops of single cells",
        voxel_size_nm=None,
        labels="mask",
        objects="2d",
        licence="that of the record at IEEE DataPort, which is behind a free login; read it there",
        citation="Y. Luo, Y. Guo, W. Li, G. Liu, G. Yang: Fluorescence Microscopy Image Datasets for Deep Learning "
        "Segmentation of Intracellular Organelle Networks. IEEE DataPort, 2020.",
        doi="10.21227/t2he-zn97",
        homepage="https://dx.doi.org/10.21227/t2he-zn97",
        files=(SourceFile(f"{folder}.zip", folder=folder),),
        layout=f"{folder}/train/images, {folder}/train/masks and the same of test, with equal names",
        split="official train and test; a tenth of train, by hash, is val",
        protocol="semantic",
        convert=partial(_convert, folder=folder),
        notes="Everything above 0 in a mask is foreground. Crops of one cell may stand in train and val.",
    )


ER = _entry("er-network", "ER", "The endoplasmic reticulum")
MITO = _entry("mito-network", "MITO", "Mitochondria")
