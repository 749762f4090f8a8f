"""The page of an evaluation: stacks, errors of objects, and what belongs to a plane or to a stack."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import anyscope
from anyscope.cli import main
from anyscope.errors import BadInput
from anyscope.images import write_image, write_labels


def write_stack(root: Path, more: str = "") -> np.ndarray:
    """A dataset of one stack (z, y, x) with two cells that go through it; its right half is the test part."""
    labels = np.zeros((4, 40, 80), np.uint16)
    for left in (0, 40):
        labels[:, 4:18, left + 4 : left + 34], labels[:, 22:36, left + 4 : left + 34] = left + 1, left + 2
    image = np.random.default_rng(0).normal(60, 5, labels.shape) + 90 * (labels > 0)
    write_image(root / "images" / "s.tif", image.clip(0, 255).astype(np.uint8)[None])
    write_labels(root / "labels" / "s.tif", labels)
    parts = "split: {train: {s: '[:, :, :20]'}, val: {s: '[:, :, 20:40]'}, test: {s: '[:, :, 40:]'}}\n"
    (root / "dataset.yaml").write_text(f"labels: instances\nvoxel_size_nm: [40, 5, 5]\n{more}{parts}")
    return labels


def numbers(text: str) -> dict[str, int]:
    """Kinds and numbers as the legend has them."""
    return {
        kind: int(count) for kind, count in re.findall(r"(split|merge|missed|invented|found): (\d+)(?: of|;)", text)
    }


@pytest.mark.parametrize("whole", [True, False])
def test_a_prediction_of_the_whole_or_of_the_part_gives_the_same_page(tmp_path, whole):
    labels = write_stack(tmp_path / "data")
    prediction = labels.copy()
    prediction[:, :, :40] = 0  # not in the test part
    prediction[2:, 22:36, 44:74] = 50  # the second object is cut between planes
    write_labels(tmp_path / "p" / "s.tif", prediction if whole else prediction[:, :, 40:])
    page = tmp_path / "page.html"
    anyscope.evaluate(tmp_path / "p", tmp_path / "data", split="test", report=page)
    text = page.read_text()
    assert numbers(text) == {"split": 1, "merge": 0, "missed": 0, "invented": 0, "found": 1}
    assert "all planes" in text
    assert "S1 in s[0]" in text
    assert "into 2 predicted objects (50%, 50% of it)" in text
    assert "Within one image" in text


def test_ids_of_planes_are_compared_plane_by_plane(tmp_path):
    labels = write_stack(tmp_path / "data", "objects: 2d\n")
    prediction = labels.copy()
    prediction[1] = np.where(labels[1] > 0, labels[1] + 100, 0)
    prediction[3][labels[3] == 42] = 0
    write_labels(tmp_path / "p" / "s.tif", prediction)
    page = tmp_path / "page.html"
    anyscope.evaluate(tmp_path / "p", tmp_path / "data", split="test", report=page)
    text = page.read_text()
    assert numbers(text) == {"split": 0, "merge": 0, "missed": 1, "invented": 0, "found": 7}
    assert "L1 in s[3]" in text
    assert "Within one plane" in text


def test_masks_have_stacks_but_no_objects(tmp_path):
    labels = write_stack(tmp_path / "data")
    write_labels(tmp_path / "p" / "s.tif", labels)
    page = tmp_path / "page.html"
    anyscope.evaluate(tmp_path / "p", tmp_path / "data", split="test", protocol="semantic", report=page)
    text = page.read_text()
    assert text.count('class="plane') == 4
    assert "Errors of objects" not in text
    assert "in the reference only: missed" in text


def test_a_report_needs_images(tmp_path):
    labels = np.eye(9, dtype=np.uint8)[None]
    write_labels(tmp_path / "a.tif", labels)
    with pytest.raises(BadInput, match="no images for a report"):
        anyscope.evaluate(tmp_path / "a.tif", tmp_path / "a.tif", report=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_it(tmp_path, capsys):
    labels = write_stack(tmp_path / "data")
    write_labels(tmp_path / "p" / "s.tif", labels)
    page = tmp_path / "page.html"
    arguments = ["evaluate", str(tmp_path / "p"), str(tmp_path / "data"), "--split", "test", "--report", str(page)]
    assert main(arguments) == 0
    assert f"report: {page}" in capsys.readouterr().err
    assert "anyscope evaluate p data --protocol instances --split test" in page.read_text()
