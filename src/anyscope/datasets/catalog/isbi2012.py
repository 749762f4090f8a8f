"""Neurites of a fly larva in 2D: the ISBI 2012 challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import tail, three
from anyscope.datasets.catalog.stacks import Plane, PlaneStack, check_pair, open_stack, write_stack
from anyscope.images.components import components

_VOXEL_NM = (50.0, 4.0, 4.0)


def _neurites(plane: Plane) -> Plane:
    """Face-connected insides as ids of this slice: white is inside, black is membrane."""
    found: Plane = components(plane[None] > 127, 1, 2)[0]
    return found


def _has_both(stack: PlaneStack) -> bool:
    """Whether there is inside and membrane: an archive may hold a stack of zeros in the place of hidden labels."""
    return any(len(np.unique(plane > 127)) == 2 for plane in stack.planes())


def _convert(published: Published, out: Path) -> DeclaredSplit:
    def pair(stem: str, image: PlaneStack, labels: PlaneStack) -> None:
        check_pair(image, labels)
        write_stack(out / "images" / f"{stem}.tif", image, _VOXEL_NM)
        write_stack(out / "labels" / f"{stem}.tif", labels, _VOXEL_NM, _neurites, np.uint16)

    image = open_stack(published.file("train-volume.tif"))
    pair("train", image, open_stack(published.file("train-labels.tif"), labels=True))
    hidden, reference = published.optional_file("test-volume.tif"), published.optional_file("test-labels.tif")
    truth = open_stack(reference, labels=True) if reference else None
    if hidden and truth and _has_both(truth):
        pair("test", open_stack(hidden), truth)
        head, val = tail(image.count, 0.2)
        return {"train": {"train": head}, "val": {"train": val}, "test": {"test": ""}}
    if hidden:
        write_stack(out / "unlabelled" / "images" / "test.tif", open_stack(hidden), _VOXEL_NM)
    return {part: {"train": regions[""]} for part, regions in three(image.count).items()}


ISBI2012 = CatalogEntry(
    name="isbi2012",
    title="ISBI 2012",
    modality="EM",
    summary="Neurites, slice by slice, in serial-section TEM of the ventral nerve cord of a Drosophila larva.",
    size="30 x 512 x 512 for training, 30 x 512 x 512 for testing",
    voxel_size_nm=_VOXEL_NM,
    labels="instances",
    objects="2d",
    licence="none stated by the publisher; ask before passing it on",
    citation="I. Arganda-Carreras et al.: Crowdsourcing the creation of image segmentation algorithms for "
    "connectomics. Frontiers in Neuroanatomy 9:142, 2015. The images: A. Cardona et al., PLoS Biology 8(10), 2010.",
    doi="10.3389/fnana.2015.00142",
    homepage="https://imagej.net/events/isbi-2012-segmentation-challenge",
    files=(
        SourceFile(
            "ISBI-2012-challenge.zip",
            "https://downloads.imagej.net/ISBI-2012-challenge.zip",
            folder="ISBI-2012-challenge",
        ),
    ),
    layout="train-volume.tif, train-labels.tif, test-volume.tif, test-labels.tif, multi-page TIFF",
    split="the last fifth of the training stack is val and the test stack is test; without test labels the training "
    "stack is cut in z into train, val and test, with gaps",
    protocol="isbi2012",
    convert=_convert,
    notes="Published labels are black membranes on white; here each white piece of a slice is an object. The challenge "
    "took the best of many thresholds, the protocol here scores a prediction as it is.",
)
