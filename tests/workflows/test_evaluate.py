"""What a comparison says when it is not what was meant."""

from __future__ import annotations

import numpy as np
import pytest

import anyscope
from anyscope.images import write_labels


@pytest.fixture
def two_squares(tmp_path):
    labels = np.zeros((1, 32, 32), np.uint16)
    labels[0, 4:10, 4:10], labels[0, 20:28, 20:28] = 1, 2
    (tmp_path / "reference").mkdir()
    write_labels(tmp_path / "reference" / "a.tif", labels)
    (tmp_path / "masks").mkdir()
    write_labels(tmp_path / "masks" / "a.tif", (labels > 0).astype(np.uint16))
    return tmp_path


def test_masks_in_the_place_of_objects_are_pointed_out(two_squares, capsys):
    result = anyscope.evaluate(two_squares / "masks", two_squares / "reference")
    assert result.protocol == "instances"
    said = capsys.readouterr().err
    assert said.count("hint: ") == 1
    assert "--instances" in said
    assert "--protocol semantic" in said


@pytest.mark.parametrize("protocol", ["instances", "semantic"])
def test_nothing_is_pointed_out_where_objects_or_masks_are_compared(two_squares, capsys, protocol):
    prediction = two_squares / ("reference" if protocol == "instances" else "masks")
    assert anyscope.evaluate(prediction, two_squares / "reference", protocol=protocol).n == 1
    assert "hint" not in capsys.readouterr().err


def test_finding_nothing_is_another_matter(two_squares, capsys):
    (two_squares / "nothing").mkdir()
    write_labels(two_squares / "nothing" / "a.tif", np.zeros((1, 32, 32), np.uint16))
    anyscope.evaluate(two_squares / "nothing", two_squares / "reference")
    assert "hint" not in capsys.readouterr().err
