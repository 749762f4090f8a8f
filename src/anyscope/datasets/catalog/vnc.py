"""The ventral nerve cord of a fly larva with several annotations, of which the mitochondria are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import quadrants
from anyscope.datasets.catalog.stacks import above, check_pair, open_stack, write_stack

_VOXEL_NM = (50.0, 4.6, 4.6)
_STEM = "stack1"


def _convert(published: Published, out: Path) -> DeclaredSplit:
    image = open_stack(published.files("stack1/raw", (".tif", ".tiff")))
    labels = open_stack(published.files("stack1/mitochondria", (".png",)))
    check_pair(image, labels)
    write_stack(out / "images" / f"{_STEM}.tif", image, _VOXEL_NM)
    # The masks have soft edges: they are read as grey levels.
    write_stack(out / "labels" / f"{_STEM}.tif", labels, _VOXEL_NM, above(0), np.uint8)
    if published.folder("stack2/raw", (".tif", ".tiff"), optional=True):
        other = open_stack(published.files("stack2/raw", (".tif", ".tiff")))
        write_stack(out / "unlabelled" / "images" / "stack2.tif", other, _VOXEL_NM)
    train, val, test = quadrants(image.shape)
    return {"train": {_STEM: train}, "val": {_STEM: val}, "test": {_STEM: test}}


VNC = CatalogEntry(
    name="vnc",
    title="VNC (Gerhard et al.)",
    modality="EM",
    summary="Mitochondria in serial-section TEM of the ventral nerve cord of a Drosophila larva.",
    size="One labelled stack of 20 x 1024 x 1024, one of the same size without labels",
    voxel_size_nm=_VOXEL_NM,
    labels="mask",
    objects="3d",
    licence="CC BY-NC-SA 3.0",
    citation="S. Gerhard, J. Funke, J. Martel, A. Cardona, R. Fetter: Segmented anisotropic ssTEM dataset of neural "
    "tissue. figshare, 2013.",
    doi="10.6084/m9.figshare.856713",
    homepage="https://github.com/unidesigner/groundtruth-drosophila-vnc",
    files=(
        SourceFile(
            "groundtruth-drosophila-vnc.zip",
            "https://github.com/unidesigner/groundtruth-drosophila-vnc/archive/refs/heads/master.zip",
            # GitHub makes this archive anew when it likes; what was published may stop to hold.
            "sha256:f7bd0db03c86b64440a16b60360ad60c0a4411f89e2c021c7ee2c8d6af3d7e86",
            folder="groundtruth-drosophila-vnc",
        ),
    ),
    layout="stack1/raw/*.tif, stack1/mitochondria/*.png, stack2/raw/*.tif",
    split="the left half of stack1 is for training (its top quarter is val, after a gap), the right half is test, as "
    "in Franco-Barranco et al. (doi 10.1016/j.cmpb.2022.106949)",
    protocol="lucchi",
    convert=_convert,
    notes="Masks have soft edges; everything above 0 is mitochondrion, as in the work that defined the split. Sections "
    "are 45 to 50 nm thick.",
)
