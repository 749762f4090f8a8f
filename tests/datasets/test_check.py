"""The table of ticks."""

from __future__ import annotations

import numpy as np
import pytest

from anyscope.datasets.check import check_dataset
from anyscope.errors import BadInput


def bad(findings):
    return [f"{finding.subject}: {finding.text}" for finding in findings if finding.verdict == "bad"]


def test_a_good_folder_has_no_cross(make_dataset, blobs):
    findings = check_dataset(make_dataset({f"i{n}": blobs(n) for n in range(12)}))
    assert bad(findings) == []
    assert {"images", "shapes", "voxel size", "labels", "split", "train", "val", "test", "duplicates"} <= {
        finding.subject for finding in findings
    }


def test_all_files_that_cannot_be_read_are_listed(make_dataset, blobs):
    root = make_dataset({f"i{n}": blobs(n) for n in range(4)})
    (root / "images" / "i0.tif").write_bytes(b"II*\x00broken")
    (root / "images" / "i1.tif").write_bytes(b"")
    (root / "labels" / "i2.tif").unlink()
    assert len(bad(check_dataset(root))) == 3


def test_a_copy_in_two_parts_is_found(make_dataset, blobs):
    split = {"train": ["a"], "val": ["b"], "test": ["c"]}
    root = make_dataset({"a": blobs(0), "b": blobs(1), "c": blobs(0)}, {"split": split})
    assert bad(check_dataset(root)) == ["duplicates: 1 plane(s) stand in two parts: test/c = train/a"]


def test_labels_that_look_wrong(make_dataset, blobs):
    image, labels = blobs()
    empty = np.zeros_like(labels)
    findings = check_dataset(make_dataset({f"i{n}": (image + n, empty) for n in range(4)}, name="empty"))
    assert any("all background" in text for text in bad(findings))
    masks = {f"i{n}": (image + n, (labels > 0).astype(np.uint8) * 255) for n in range(4)}
    for _, mask in masks.values():
        mask[:, 56:60, 4:60:8] = 255
    assert any("'labels: mask'" in text for text in bad(check_dataset(make_dataset(masks, name="mask"))))
    classes = check_dataset(make_dataset({f"i{n}": (image + n, labels) for n in range(4)},
                                         {"labels": "classes", "classes": 2}, name="classes"))  # fmt: skip
    assert any("the label value 2" in text for text in bad(classes))


def test_constant_and_undefined_pixels_are_noted(make_dataset, blobs):
    image, labels = blobs()
    odd = image.astype(np.float32)
    odd[0, 0, 0] = np.nan
    pairs = {"a": (odd, labels), "b": (np.full_like(odd, 3), labels), "c": (image.astype(np.float32) + 1, labels)}
    notes = [finding.text for finding in check_dataset(make_dataset(pairs)) if finding.verdict == "note"]
    assert any("NaN" in note for note in notes)
    assert any("constant" in note for note in notes)


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(BadInput, match="there is no folder images/"):
        check_dataset(tmp_path)
