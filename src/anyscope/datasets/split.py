"""Splits that cannot leak: each voxel belongs to one part at most, and the rule depends on names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from anyscope.datasets.description import PARTS, Part
from anyscope.errors import BadInput
from anyscope.geometry import Roi, parse_region

Shape = tuple[int, int, int]
Split = dict[Part, dict[str, Roi]]

GAP_PX = 32
"""Pixels left out between the parts of one image that is cut in y or x: wider than most objects' correlation."""

_TEST_SHARE, _VAL_SHARE = 0.2, 0.1


def _bucket(stem: str) -> int:
    return int(hashlib.sha1(stem.encode(), usedforsecurity=False).hexdigest(), 16)


def default_split(shapes: Mapping[str, Shape]) -> tuple[Split, str]:
    """The split of a dataset that declares none, and the rule in words.

    Test where sha1(stem) mod 10 is 0 or 1, val where it is 2, train elsewhere. Where that leaves a part empty, the
    images are dealt in the order of their hash; one or two images are each cut along their longest axis, with a gap.

    Args:
        shapes: Shape (z, y, x) of each image by stem.
    """
    parts: dict[Part, list[str]] = {part: [] for part in PARTS}
    for stem in shapes:
        bucket = _bucket(stem) % 10
        parts["test" if bucket < 2 else "val" if bucket == 2 else "train"].append(stem)
    rule = "by name: test where sha1(stem) mod 10 is 0 or 1, val where it is 2"
    if not all(parts.values()) and len(shapes) >= 3:
        order = sorted(shapes, key=_bucket)
        test = max(1, round(_TEST_SHARE * len(order)))
        val = max(1, round(_VAL_SHARE * len(order)))
        parts = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
        rule = "few images: dealt to test, val and train in the order of sha1(stem)"
    if all(parts.values()):
        return {part: {stem: Roi.whole(shapes[stem]) for stem in sorted(parts[part])} for part in PARTS}, rule
    cut: Split = {part: {} for part in PARTS}
    for stem, shape in shapes.items():
        for part, roi in _cut(stem, shape).items():
            cut[part][stem] = roi
    return cut, "each image cut along its longest axis into train, val and test, with a gap between them"


def _cut(stem: str, shape: Shape) -> dict[Part, Roi]:
    axis = max(range(3), key=lambda a: (shape[a], a))
    length = shape[axis]
    gap = min(GAP_PX, max(1, length // 32)) if axis else max(1, length // 32)
    usable = length - 2 * gap
    val, test = round(_VAL_SHARE * usable), round(_TEST_SHARE * usable)
    if min(val, test) < 1:
        raise BadInput(stem, f"an image of {shape} is too small to be split", "more images or a split in dataset.yaml")
    bounds: dict[Part, tuple[int, int]] = {
        "train": (0, usable - val - test),
        "val": (usable - val - test + gap, usable - test + gap),
        "test": (length - test, length),
    }
    rois: dict[Part, Roi] = {}
    for part, (first, last) in bounds.items():
        start, stop = [0, 0, 0], list(shape)
        start[axis], stop[axis] = first, last
        rois[part] = Roi((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return rois


def declared_split(
    declared: Mapping[Part, Mapping[str, str]], shapes: Mapping[str, Shape], path: Path
) -> tuple[Split, str]:
    """The split that ``dataset.yaml`` declares, checked: known stems, regions within the images, no shared voxels."""
    split: Split = {part: {} for part in PARTS}
    for part, regions in declared.items():
        for stem, text in regions.items():
            if stem not in shapes:
                some = ", ".join(sorted(shapes)[:5])
                raise BadInput(path, f"split {part!r} names {stem!r}, which is not in images/", f"stems such as {some}")
            whole = Roi.whole(shapes[stem])
            split[part][stem] = parse_region(text, shapes[stem], f"{path}: {part}: {stem}") if text else whole
    for one, other in combinations(PARTS, 2):
        for stem in split[one].keys() & split[other].keys():
            shared = split[one][stem].intersect(split[other][stem])
            if shared.size:
                raise BadInput(
                    path,
                    f"{one} and {other} share {shared.size} voxels of {stem!r}",
                    "parts that do not overlap",
                    "a shared region would leak from training into the score",
                )
    return split, "declared in dataset.yaml"


def check_parts(split: Split, wanted: Sequence[Part], path: Path) -> None:
    """Raise a :class:`BadInput` unless every wanted part has at least one region."""
    for part in wanted:
        if not split[part]:
            raise BadInput(path, f"the split has nothing in {part!r}", "at least one image or region", "see data check")
