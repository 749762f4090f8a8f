"""``data check``: what is in a dataset folder and what looks wrong, as a list of findings."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.datasets.description import PARTS, Part, read_description
from anyscope.datasets.folder import Dataset, LabelledRegion, open_dataset
from anyscope.errors import AnyscopeError, BadInput
from anyscope.geometry import VoxelSize
from anyscope.images import ReadOptions, list_images, open_image, open_labels

Verdict = Literal["good", "note", "bad"]

_TINY_PX = 5
_MANY_PIECES = 3


@dataclass(frozen=True)
class Finding:
    """One line of the table: a verdict, what was looked at, what was found."""

    verdict: Verdict
    subject: str
    text: str


@dataclass
class _PartSummary:
    """What one pass over the planes of a part has gathered."""

    planes: int = 0
    pixels: int = 0
    foreground: int = 0
    objects: int = 0
    tiny: int = 0
    pieces: int = 0
    empty: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    one_value: Counter[int] = field(default_factory=Counter)
    lowest: float = np.inf
    highest: float = -np.inf


def check_dataset(root: Path, options: ReadOptions | None = None) -> list[Finding]:
    """Look at every file of a dataset folder.

    Args:
        root: The folder.
        options: How to read the images where the files leave it open.

    Returns:
        Findings in the order of the table. Bad ones make training impossible or its scores untrue.
    """
    options = options or ReadOptions()
    broken = list(_files(root, options))
    if broken:
        return broken
    try:
        dataset = open_dataset(root, options)
        split = dataset.split
    except AnyscopeError as error:
        return [Finding("bad", "folder", str(error))]
    findings = [*_images(dataset), Finding("good", "split", f"{dataset.split_rule}")]
    hashes: dict[str, set[tuple[Part, str]]] = defaultdict(set)
    for part in PARTS:
        if not split[part]:
            findings.append(Finding("note", part, "nothing in this part"))
            continue
        try:
            findings += _part(dataset, part, hashes)
        except AnyscopeError as error:
            findings.append(Finding("bad", part, str(error)))
    return [*findings, _duplicates(hashes)]


def _files(root: Path, options: ReadOptions) -> Iterator[Finding]:
    """Everything that keeps the folder from being opened at all, file by file."""
    if not (root / "images").is_dir():
        found = "no such folder" if not root.is_dir() else "there is no folder images/ in it"
        raise BadInput(root, found, "a dataset folder with images/ and maybe labels/")
    try:
        read_description(root)
        stems = {name: list_images(root / name) for name in ("images", "labels") if (root / name).is_dir()}
    except AnyscopeError as error:
        yield Finding("bad", "folder", str(error))
        return
    if not stems["images"]:
        yield Finding("bad", "images", f"{root / 'images'}: there are no images in it")
    for name, opener in (("images", open_image), ("labels", open_labels)):
        for path in stems.get(name, {}).values():
            try:
                opener(path, options if name == "images" else ReadOptions())
            except AnyscopeError as error:
                yield Finding("bad", name, str(error))
    if "labels" in stems:
        for name, other in (("labels", "images"), ("images", "labels")):
            for stem in sorted(stems[other].keys() - stems[name].keys()):
                yield Finding("bad", name, f"no file for {stems[other][stem].name} of {other}/")


def _images(dataset: Dataset) -> Iterator[Finding]:
    images = list(dataset.images.values())
    kinds = Counter((image.format, str(image.dtype), image.shape[0]) for image in images)
    described = ", ".join(
        f"{count} {form} {dtype} with {channels} channel(s)" for (form, dtype, channels), count in kinds.items()
    )
    same = len({key[1:] for key in kinds}) == 1
    yield Finding("good" if same else "note", "images", described)
    shapes = Counter(image.shape[1:] for image in images)
    some = ", ".join(" x ".join(map(str, shape)) + f" ({count})" for shape, count in shapes.most_common(6))
    yield Finding("good", "shapes", f"{some}{', ...' if len(shapes) > 6 else ''} (z, y, x)")
    sizes = {dataset.voxel_size_nm(stem) for stem in dataset.images}
    if None in sizes:
        yield Finding("note", "voxel size", "unknown: give voxel_size_nm in dataset.yaml, or native pixels are used")
    else:
        yield Finding("good", "voxel size", ", ".join(_sizes(size) for size in sizes) + " nm (z, y, x)")
    if dataset.labels is None:
        yield Finding("note", "labels", "there is no labels/: images only")
    else:
        declared = "declared" if dataset.description.labels else "inferred from the values"
        yield Finding("good", "labels", f"{dataset.kind} ({declared})")


def _sizes(size: VoxelSize | None) -> str:
    return " x ".join(f"{part:g}" for part in size or () if part is not None)


def _part(dataset: Dataset, part: Part, hashes: dict[str, set[tuple[Part, str]]]) -> Iterator[Finding]:
    summary = _PartSummary()
    regions = dataset.labelled(part) if dataset.labels is not None else dataset.unlabelled(part)
    for region in regions:
        for z in range(region.roi.shape[0]):
            plane = region.planes(z, z + 1)
            name = f"{region.stem}[{plane.roi.start[0]}]" if region.roi.shape[0] > 1 else region.stem
            pixels = plane.image.read(plane.roi)
            _look_at_image(pixels, name, summary)
            hashes[hashlib.sha256(pixels.tobytes()).hexdigest()].add((part, name))
            if isinstance(plane, LabelledRegion):
                _look_at_labels(plane, name, summary)
    yield Finding(
        "good",
        part,
        f"{len(regions)} image(s), {summary.planes} plane(s), values {summary.lowest:g}..{summary.highest:g}",
    )
    for names, text in (
        (summary.not_finite, "hold NaN or infinite values, which become 0"),
        (summary.constant, "are constant: nothing can be seen in them"),
    ):
        if names:
            yield Finding("note", part, f"{len(names)} plane(s) {text}: {_some(names)}")
    if dataset.labels is not None:
        yield from _label_findings(dataset, part, summary)


def _look_at_image(plane: NDArray[Any], name: str, summary: _PartSummary) -> None:
    finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
    summary.planes += 1
    if finite.size < plane.size:
        summary.not_finite.append(name)
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        summary.lowest, summary.highest = min(summary.lowest, low), max(summary.highest, high)
        if low == high:
            summary.constant.append(name)


def _look_at_labels(region: LabelledRegion, name: str, summary: _PartSummary) -> None:
    import cc3d

    labels = region.read_reference("instances")[0][0]
    ids, sizes = np.unique(labels, return_counts=True)
    sizes, ids = sizes[ids != 0], ids[ids != 0]
    summary.pixels += labels.size
    summary.foreground += int(sizes.sum())
    summary.objects += len(ids)
    summary.tiny += int((sizes < _TINY_PX).sum())
    if not len(ids):
        summary.empty.append(name)
    if len(ids) == 1:
        summary.one_value[int(ids[0])] += 1
    if region.kind == "instances":
        summary.pieces += int(cc3d.connected_components(np.array(labels), connectivity=8, return_N=True)[1])


def _label_findings(dataset: Dataset, part: Part, summary: _PartSummary) -> Iterator[Finding]:
    share = summary.foreground / max(1, summary.pixels)
    if summary.foreground == 0:
        yield Finding("bad", part, "labels: all background, there is nothing to learn or to score")
        return
    counted = f", {summary.objects} objects in planes" if dataset.kind == "instances" else ""
    yield Finding("note" if share > 0.95 else "good", part, f"labels: {share:.2%} foreground{counted}")
    if summary.empty:
        yield Finding("note", part, f"{len(summary.empty)} plane(s) without any object: {_some(summary.empty)}")
    if dataset.kind != "instances":
        return
    value, planes = summary.one_value.most_common(1)[0] if summary.one_value else (0, 0)
    if planes > summary.planes / 2 and summary.pieces > 2 * summary.objects:
        yield Finding(
            "bad", part, f"labels: {planes} plane(s) hold only 0 and {value}: say 'labels: mask' in dataset.yaml"
        )
    elif summary.pieces > _MANY_PIECES * summary.objects:
        yield Finding("note", part, f"labels: {summary.pieces} pieces for {summary.objects} ids: are these instances?")
    if summary.tiny > 0.05 * summary.objects:
        yield Finding("note", part, f"labels: {summary.tiny} of {summary.objects} objects are under {_TINY_PX} px")


def _duplicates(hashes: dict[str, set[tuple[Part, str]]]) -> Finding:
    shared = [sorted(places) for places in hashes.values() if len({part for part, _ in places}) > 1]
    if not shared:
        return Finding("good", "duplicates", "no plane stands in two parts of the split")
    pairs = [" = ".join(f"{part}/{name}" for part, name in places) for places in shared]
    return Finding("bad", "duplicates", f"{len(shared)} plane(s) stand in two parts: {_some(pairs)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
