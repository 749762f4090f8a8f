"""Lucchi++ and Kasthuri++: two mitochondria datasets re-annotated by Casser and colleagues, as folders of slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import tail
from anyscope.datasets.catalog.stacks import Plane, check_pair, open_stack, write_stack

_CITATION = (
    "V. Casser, K. Kang, H. Pfister, D. Haehn: Fast Mitochondria Detection for Connectomics. Medical Imaging with Deep "
    "Learning (MIDL), PMLR 121, 2020."
)
_DOI = "10.48550/arXiv.1812.06024"
_HOMEPAGE = "https://sites.google.com/view/connectomics/"
_LICENCE = "none stated by the publisher; ask before passing it on"
_OUTSIDE = 2
"""The grey level of what lies outside the annotated region of Kasthuri++."""
_IGNORED = 255


def _labels(plane: Plane) -> Plane:
    """Mitochondria are 1, and what lies outside the annotated region is not scored."""
    return np.where(plane == _OUTSIDE, _IGNORED, plane > 127).astype(np.uint8)


def _convert(published: Published, out: Path, voxel_size_nm: tuple[float, ...]) -> DeclaredSplit:
    regions: dict[str, tuple[str, str]] = {}
    for stem, part in (("train", "Train"), ("test", "Test")):
        image = open_stack(published.files(f"{part}_In", (".png",)))
        labels = open_stack(published.files(f"{part}_Out", (".png",)), labels=True)
        check_pair(image, labels)
        write_stack(out / "images" / f"{stem}.tif", image, voxel_size_nm)
        write_stack(out / "labels" / f"{stem}.tif", labels, voxel_size_nm, _labels, np.uint8)
        regions[stem] = tail(image.count)
    trained, held = regions["train"]
    return {"train": {"train": trained}, "val": {"train": held}, "test": {"test": ""}}


def _layout(name: str) -> str:
    return f"{name}/Train_In, Train_Out, Test_In, Test_Out with PNG slices numbered in their names"


LUCCHI_PP = CatalogEntry(
    name="lucchi++",
    title="Lucchi++",
    modality="EM",
    summary="Mitochondria in FIB-SEM of mouse hippocampus, EPFL's stacks with membranes and errors re-annotated.",
    size="Two stacks of 165 x 768 x 1024, for training and for testing",
    voxel_size_nm=(5.0, 5.0, 5.0),
    labels="mask",
    objects="3d",
    licence=_LICENCE,
    citation=_CITATION,
    doi=_DOI,
    homepage=_HOMEPAGE,
    files=(
        SourceFile(
            "lucchi_pp.zip",
            "http://www.casser.io/files/lucchi_pp.zip",
            "sha256:770ce9e98fc6f29c1b1a250c637e6c5125f2b5f1260e5a7687b55a79e2e8844d",
            folder="lucchi_pp",
        ),
    ),
    layout=_layout("Lucchi++"),
    split="official train and test stacks; the last tenth of the training stack is val, after a gap",
    protocol="lucchi",
    convert=lambda published, out: _convert(published, out, (5.0, 5.0, 5.0)),
    ignore=(_IGNORED,),
    notes="Some loaders swap train and test; here Train_In is train.",
)

KASTHURI_PP = CatalogEntry(
    name="kasthuri++",
    title="Kasthuri++",
    modality="EM",
    summary="Mitochondria in serial-section SEM of mouse cortex, re-annotated.",
    size="85 x 1463 x 1613 for training, 75 x 1334 x 1553 for testing",
    voxel_size_nm=(30.0, 3.0, 3.0),
    labels="mask",
    objects="3d",
    licence=_LICENCE,
    citation=_CITATION
    + " The images: N. Kasthuri et al.: Saturated Reconstruction of a Volume of Neocortex. Cell 162, 2015.",
    doi=_DOI,
    homepage=_HOMEPAGE,
    files=(
        SourceFile(
            "kasthuri_pp.zip",
            "http://www.casser.io/files/kasthuri_pp.zip",
            "sha256:bbb78fd205ec9b57feb8f93ebbdf1666261cbc3e0305e7f11583ab5157a3d792",
            folder="kasthuri_pp",
        ),
    ),
    layout=_layout("Kasthuri++"),
    split="official train and test stacks; the last tenth of the training stack is val, after a gap",
    protocol="lucchi",
    convert=lambda published, out: _convert(published, out, (30.0, 3.0, 3.0)),
    ignore=(_IGNORED,),
    notes="Grey level 2 in the labels marks what lies outside the annotated cylinder; it becomes 255 and is not "
    "scored, which published scores do not always do.",
)
