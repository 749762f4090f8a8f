"""Mitochondria of the mouse hippocampus as published by EPFL."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import tail
from anyscope.datasets.catalog.stacks import above, check_pair, open_stack, write_stack

_BASE = "https://documents.epfl.ch/groups/c/cv/cvlab-unit/www/data/%20ElectronMicroscopy_Hippocampus/"
_FILES = ("training.tif", "training_groundtruth.tif", "testing.tif", "testing_groundtruth.tif")
_VOXEL_NM = (5.0, 5.0, 5.0)
# The slices alone have 130 MB a file; the limit leaves room for whatever the publisher stores them in.
_SIZE_BYTES = 130_000_000


def _convert(published: Published, out: Path) -> DeclaredSplit:
    regions: dict[str, tuple[str, str]] = {}
    for stem, part in (("train", "training"), ("test", "testing")):
        image = open_stack(published.file(f"{part}.tif"))
        labels = open_stack(published.file(f"{part}_groundtruth.tif"), labels=True)
        check_pair(image, labels)
        write_stack(out / "images" / f"{stem}.tif", image, _VOXEL_NM)
        write_stack(out / "labels" / f"{stem}.tif", labels, _VOXEL_NM, above(127), np.uint8)
        regions[stem] = tail(image.count)
    trained, held = regions["train"]
    return {"train": {"train": trained}, "val": {"train": held}, "test": {"test": ""}}


LUCCHI = CatalogEntry(
    name="lucchi",
    title="EPFL hippocampus (Lucchi)",
    modality="EM",
    summary="Mitochondria in FIB-SEM of mouse hippocampus CA1.",
    size="Two stacks of 165 x 768 x 1024, for training and for testing",
    voxel_size_nm=_VOXEL_NM,
    labels="mask",
    objects="3d",
    licence="none stated by the publisher; ask before passing it on",
    citation="A. Lucchi, K. Smith, R. Achanta, G. Knott, P. Fua: Supervoxel-Based Segmentation of Mitochondria in EM "
    "Image Stacks With Learned Shape Features. IEEE Transactions on Medical Imaging 31(2), 2012.",
    doi="10.1109/TMI.2011.2171705",
    homepage="https://www.epfl.ch/labs/cvlab/data/data-em/",
    files=tuple(SourceFile(name, _BASE + name, size_bytes=_SIZE_BYTES) for name in _FILES),
    layout="training.tif, training_groundtruth.tif, testing.tif, testing_groundtruth.tif, multi-page TIFF",
    split="official train and test stacks; the last tenth of the training stack is val, after a gap",
    protocol="lucchi",
    convert=_convert,
    notes="Masks above 127 are mitochondria. Lucchi++ has the same images with better labels.",
)
