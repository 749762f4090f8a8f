"""Nuclei in fluorescence of the Broad Bioimage Benchmark Collection: BBBC039, and BBBC006 in and out of focus."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.pairs import write_pairs
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.splits import share_of
from anyscope.datasets.catalog.stacks import first_channel, pieces
from anyscope.datasets.description import Part
from anyscope.errors import BadInput

_BASE = "https://data.broadinstitute.org/bbbc/"
_LJOSA = (
    "V. Ljosa, K. L. Sokolnicki, A. E. Carpenter: Annotated high-throughput microscopy image sets for validation. "
    "Nature Methods 9, 2012."
)
_LISTS: dict[Part, str] = {"train": "training.txt", "val": "validation.txt", "test": "test.txt"}
_SITE = re.compile(r"(?P<field>mcf-z-stacks-\d+_(?P<well>[a-p]\d\d)_s\d)(_w(?P<channel>\d).*)?", re.IGNORECASE)
FOCUS = 16
"""The plane of BBBC006 that is in focus; planes are 2 um apart."""


def _bbbc039(published: Published, out: Path) -> DeclaredSplit:
    images = {path.stem: path for path in published.files("images", (".tif", ".tiff"))}
    masks = {path.stem: path for path in published.files("masks", (".png",))}
    split: dict[Part, dict[str, str]] = {}
    for part, name in _LISTS.items():
        listed = published.file(name).read_text(encoding="utf-8").split()
        split[part] = {Path(line).stem: "" for line in listed}
    wanted = [stem for regions in split.values() for stem in regions]
    lost = [stem for stem in wanted if stem not in images or stem not in masks]
    if lost:
        raise published.missing(f"the image or the mask {lost[0]}")
    write_pairs(out, [(stem, images[stem], partial(_ids, masks[stem])) for stem in wanted])
    return split


def _ids(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return pieces(first_channel(path)).astype(np.uint16)


BBBC039 = CatalogEntry(
    name="bbbc039",
    title="BBBC039",
    modality="FM",
    summary="Nuclei of U2OS cells (Hoechst) under chemical treatments, annotated by hand.",
    size="200 images of 520 x 696, 16 bits",
    voxel_size_nm=None,
    labels="instances",
    objects="2d",
    licence="CC0 1.0",
    citation=_LJOSA
    + " The annotations: J. C. Caicedo et al.: Evaluation of Deep Learning Strategies for Nucleus Segmentation in "
    "Fluorescence Images. Cytometry A 95, 2019.",
    doi="10.1002/cyto.a.23863",
    homepage="https://bbbc.broadinstitute.org/BBBC039",
    files=(
        SourceFile(
            "images.zip",
            f"{_BASE}BBBC039/images.zip",
            "sha256:6f30a5d4fe38c928ded972704f085975f8dc0d65d9aa366df00e5a9d449fddd7",
            77_915_748,
            "images",
        ),
        SourceFile(
            "masks.zip",
            f"{_BASE}BBBC039/masks.zip",
            "sha256:f9e6043d8ca56344a4886f96a700d804d6ee982f31e2b2cd3194af2a053c2710",
            2_753_811,
            "masks",
        ),
        SourceFile(
            "metadata.zip",
            f"{_BASE}BBBC039/metadata.zip",
            "sha256:a2c1f900bed9ba92a99553efd4c2ae98598433691c7401d818653ab61110deb2",
            17_816,
            "metadata",
        ),
    ),
    layout="images/*.tif, masks/*.png, metadata/training.txt, validation.txt, test.txt",
    split="the official lists: 100 train, 50 val, 50 test",
    protocol="dsb2018",
    convert=_bbbc039,
    notes="Objects are the connected pieces of equal value in the first channel of a mask, as in the publishers' "
    "decoder; a few images hold no nucleus.",
)


def _bbbc006(published: Published, out: Path, plane: int) -> DeclaredSplit:
    images: dict[str, tuple[Path, str]] = {}
    for path in published.files(f"BBBC006_v1_images_z_{plane:02d}", (".tif", ".tiff")):
        found = _SITE.fullmatch(path.stem)
        if found is None or found["channel"] is None:
            raise BadInput(path, "a name that is not of this set", "mcf-z-stacks-03212011_a01_s1_w1....tif")
        if found["channel"] == "1":
            images[found["field"].lower()] = path, found["well"].lower()
    masks = {path.stem.lower(): path for path in published.files("BBBC006_v1_labels", (".png",))}
    lost = sorted(images.keys() - masks.keys())
    if lost:
        raise published.missing(f"BBBC006_v1_labels/{lost[0]}.png")
    write_pairs(out, [(stem, path, partial(_ids, masks[stem])) for stem, (path, _) in sorted(images.items())])
    split: dict[Part, dict[str, str]] = {"train": {}, "val": {}, "test": {}}
    for stem, (_, well) in sorted(images.items()):
        share = share_of(well)
        split["test" if share < 0.2 else "val" if share < 0.3 else "train"][stem] = ""
    return split


def _focus(name: str, plane: int) -> CatalogEntry:
    where = "in focus" if plane == FOCUS else f"{2 * (plane - FOCUS)} um out of focus"
    return CatalogEntry(
        name=name,
        title=f"BBBC006, {where}",
        modality="FM",
        summary=f"Nuclei of U2OS cells (Hoechst), {where} (plane z = {plane}).",
        size="768 images of 520 x 696, 16 bits",
        voxel_size_nm=None,
        labels="instances",
        objects="2d",
        licence="CC0 1.0",
        citation=_LJOSA + " Image set BBBC006v1.",
        doi="10.1038/nmeth.2083",
        homepage="https://bbbc.broadinstitute.org/BBBC006",
        files=tuple(
            SourceFile(f"{part}.zip", f"{_BASE}BBBC006/{part}.zip", folder=part)
            for part in (f"BBBC006_v1_images_z_{plane:02d}", "BBBC006_v1_labels")
        ),
        layout=f"BBBC006_v1_images_z_{plane:02d}/*_w1*.tif, BBBC006_v1_labels/*.png",
        split="none is published: wells are dealt by the hash of their name, so both fields of a well stay together; "
        "the same in every plane",
        protocol="dsb2018",
        convert=partial(_bbbc006, plane=plane),
        notes="The labels were made by CellProfiler in the plane in focus, not by hand. bbbc006 and bbbc006-defocus "
        "show the same fields: train on one, 'stress --shift' on the other.",
    )


BBBC006 = _focus("bbbc006", FOCUS)
BBBC006_DEFOCUS = _focus("bbbc006-defocus", FOCUS + 4)
