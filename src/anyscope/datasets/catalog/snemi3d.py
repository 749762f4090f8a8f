"""Neurites of mouse cortex: the stacks of the SNEMI3D challenge."""

from __future__ import annotations

from pathlib import Path

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import tail, three
from anyscope.datasets.catalog.stacks import check_pair, open_stack, write_stack

_VOXEL_NM = (30.0, 6.0, 6.0)


def _convert(published: Published, out: Path) -> DeclaredSplit:
    image = open_stack(published.file("train-input.tif"))
    labels = open_stack(published.file("train-labels.tif"), labels=True)
    check_pair(image, labels)
    write_stack(out / "images" / "train.tif", image, _VOXEL_NM)
    write_stack(out / "labels" / "train.tif", labels, _VOXEL_NM)
    hidden = published.optional_file("test-input.tif")
    reference = published.optional_file("test-labels.tif", "test-labels.h5")
    if hidden and reference:
        test, truth = open_stack(hidden), open_stack(reference, labels=True)
        check_pair(test, truth)
        write_stack(out / "images" / "test.tif", test, _VOXEL_NM)
        write_stack(out / "labels" / "test.tif", truth, _VOXEL_NM)
        head, val = tail(image.count, 0.2)
        return {"train": {"train": head}, "val": {"train": val}, "test": {"test": ""}}
    if hidden:
        write_stack(out / "unlabelled" / "images" / "test.tif", open_stack(hidden), _VOXEL_NM)
    return {part: {"train": regions[""]} for part, regions in three(image.count).items()}


SNEMI3D = CatalogEntry(
    name="snemi3d",
    title="SNEMI3D",
    modality="EM",
    summary="Neurites, densely labelled, in serial-section SEM of mouse somatosensory cortex.",
    size="100 x 1024 x 1024 with labels, 100 x 1024 x 1024 without",
    voxel_size_nm=_VOXEL_NM,
    labels="instances",
    objects="3d",
    licence="CC BY 4.0",
    citation="N. Kasthuri et al.: Saturated Reconstruction of a Volume of Neocortex. Cell 162(3), 2015. The stacks: "
    "doi 10.5281/zenodo.7142003.",
    doi="10.1016/j.cell.2015.06.054",
    homepage="https://zenodo.org/records/7142003",
    files=(
        SourceFile(
            "snemi.zip",
            "https://zenodo.org/records/7142003/files/snemi.zip?download=1",
            "md5:3d25a7025f66698f33c7850ace885939",
            size_bytes=194_600_000,
            folder="snemi",
        ),
    ),
    layout="train-input.tif, train-labels.tif, test-input.tif, and test-labels.tif or .h5 for those who have it",
    split="the challenge keeps the test labels, so the training stack is cut in z: the last 20 slices are test, ten "
    "before them val, with gaps; with test-labels the last 20 slices are val and the test stack is test",
    protocol="snemi3d",
    convert=_convert,
    notes="Scores on the last 20 slices are not those of the challenge, which scores z 25:100 of the test stack. The "
    "test stack without labels lies in unlabelled/.",
)
