"""MitoEM: mitochondria of rat and human cortex, 1000 slices of 4096 x 4096 each."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.published import Published, number_of
from anyscope.datasets.catalog.splits import tail
from anyscope.datasets.catalog.stacks import check_pair, open_stack, write_stack

_VOXEL_NM = (30.0, 8.0, 8.0)
# Labels are mostly 0: 500 slices of 4096 x 4096 in 16 bits are 17 GB and come in an archive of 70 MB.
_LABELS_BYTES = 40 * 2**30


def _convert(published: Published, out: Path) -> DeclaredSplit:
    slices = {number_of(path): path for path in published.files("im", (".png",))}
    _check_whole(published, slices, "im/im{:04d}.png")
    labelled: dict[str, int] = {}
    for stem, folder in (("train", "mito-train-v2"), ("test", "mito-val-v2")):
        labels = {number_of(path): path for path in published.files(folder, (".tif", ".tiff", ".png"))}
        lost = sorted(labels.keys() - slices.keys())
        _check_whole(published, labels, folder + "/seg{:04d}.tif")
        if lost:
            raise published.missing(f"im/im{lost[0]:04d}.png, whose labels are in {folder}/,")
        image = open_stack([slices.pop(number) for number in sorted(labels)])
        reference = open_stack([labels[number] for number in sorted(labels)], labels=True)
        check_pair(image, reference)
        write_stack(out / "images" / f"{stem}.tif", image, _VOXEL_NM)
        write_stack(out / "labels" / f"{stem}.tif", reference, _VOXEL_NM)
        labelled[stem] = image.count
    if slices:
        rest = open_stack([slices[number] for number in sorted(slices)])
        write_stack(out / "unlabelled" / "images" / "test.tif", rest, _VOXEL_NM)
    head, val = tail(labelled["train"])
    return {"train": {"train": head}, "val": {"train": val}, "test": {"test": ""}}


def _check_whole(published: Published, numbers: Collection[int], name: str) -> None:
    """Refuse a stack in which a slice is missing: those on either side of it would become neighbours."""
    gaps = sorted(set(range(min(numbers), max(numbers))) - set(numbers))
    if gaps:
        raise published.missing(f"{name.format(gaps[0])}, slice {gaps[0]} of {min(numbers)} to {max(numbers)},")


def _entry(letter: str, specimen: str, files: tuple[SourceFile, ...]) -> CatalogEntry:
    return CatalogEntry(
        name=f"mitoem-{letter.lower()}",
        title=f"MitoEM-{letter}",
        modality="EM",
        summary=f"Mitochondria as objects in serial-section SEM of {specimen} cortex.",
        size="400 and 100 labelled slices, 500 without labels, 4096 x 4096 each",
        voxel_size_nm=_VOXEL_NM,
        labels="instances",
        objects="3d",
        licence="MIT (dataset cards of pytc/EM30 and pytc/MitoEM)",
        citation="D. Wei et al.: MitoEM Dataset: Large-Scale 3D Mitochondria Instance Segmentation from EM Images. "
        "MICCAI 2020.",
        doi="10.1007/978-3-030-59722-1_7",
        homepage="https://mitoem.grand-challenge.org/",
        files=files,
        layout="im/im0000.png ..., mito-train-v2/seg0000.tif ..., mito-val-v2/seg0400.tif ...",
        split="the challenge keeps the labels of its test slices: its 100 validation slices are test here, and the "
        "last tenth of its training slices is val, after a gap",
        protocol="mitoem",
        convert=_convert,
        notes="The 500 slices without labels lie in unlabelled/. The first version of the labels (no v2 in the name) "
        "gives other scores. About 30 GB are unpacked and 20 GB written.",
    )


_HUB = "https://huggingface.co/datasets/pytc/"
_DROPBOX = "https://www.dropbox.com/s/"

MITOEM_R = _entry(
    "R",
    "rat",
    (
        SourceFile(
            "EM30-R-im.zip",
            f"{_HUB}EM30/resolve/main/EM30-R-im.zip",
            "sha256:6a2cac68adde5d01984542d3ee1d7753d1fa3e6eb2a042ce15ce297c95885bbe",
            size_bytes=14_000_000_000,
            folder="EM30-R-im",
            unpacked_limit_bytes=40 * 2**30,
        ),
        SourceFile(
            "EM30-R-mito-train-val-v2.zip",
            f"{_HUB}MitoEM/resolve/main/EM30-R-mito-train-val-v2.zip",
            "sha256:c56380ac575428a818bd293ca3509d1249999846c3702ccbf11d308acdd2ae86",
            size_bytes=66_600_000,
            folder="EM30-R-mito-train-val-v2",
            unpacked_limit_bytes=_LABELS_BYTES,
        ),
    ),
)

MITOEM_H = _entry(
    "H",
    "human",
    (
        # The copy on the hub is padded and does not lie on the labels.
        SourceFile(
            "EM30-H-im.zip",
            f"{_DROPBOX}z41qtu4y735j95e/EM30-H-im.zip?dl=1",
            "sha256:98fe259f36a7d8d43f99981b7a0ef8cdeba2ce2615ff91595f428ae57207a041",
            size_bytes=15_000_000_000,
            folder="EM30-H-im",
            unpacked_limit_bytes=40 * 2**30,
        ),
        SourceFile(
            "EM30-H-mito-train-val-v2.zip",
            f"{_DROPBOX}dhf89bc14kemw4e/EM30-H-mito-train-val-v2.zip?dl=1",
            "sha256:0e8ed292cfcd0c58701d9f4299244a1b66d6aeb506c85754c34f98a4eda0ef1b",
            size_bytes=55_900_000,
            folder="EM30-H-mito-train-val-v2",
            unpacked_limit_bytes=_LABELS_BYTES,
        ),
    ),
)
