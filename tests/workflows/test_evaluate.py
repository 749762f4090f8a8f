"""What a comparison says when it is not what was meant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import anyscope
from anyscope.errors import BadInput
from anyscope.images import write_image, write_labels
from anyscope.metrics import PROTOCOLS


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


@pytest.mark.parametrize("protocol", ["mitoem", "neurites", "snemi3d", "cremi", "dsb2018"])
def test_they_are_by_every_protocol_of_objects(two_squares, capsys, protocol):
    anyscope.evaluate(two_squares / "masks", two_squares / "reference", protocol=protocol)
    assert capsys.readouterr().err.count("hint: ") == 1


def test_not_where_a_mask_is_taken_for_its_components(two_squares, capsys):
    result = anyscope.evaluate(two_squares / "masks", two_squares / "reference", protocol="isbi2012")
    assert result.scores["v_rand"] == 1
    assert "hint" not in capsys.readouterr().err


def test_labels_that_cannot_be_scored_are_named_by_their_file(two_squares):
    write_labels(two_squares / "negative.tif", np.full((1, 32, 32), -3, np.int16))
    for pair in (("negative.tif", "reference/a.tif"), ("reference/a.tif", "negative.tif")):
        with pytest.raises(BadInput, match=r"negative\.tif: .*negative values"):
            anyscope.evaluate(*(two_squares / name for name in pair), protocol="instances")


@pytest.mark.parametrize("value", [0, 1, 7])
@pytest.mark.parametrize("protocol", [name for name, one in PROTOCOLS.items() if one.task == "instances"])
def test_ignored_pixels_count_the_same_by_a_dataset_and_by_the_protocol(tmp_path, protocol, value):
    """Whatever a prediction has there."""
    rng = np.random.default_rng(3)
    cells = rng.integers(1, 6, (2, 4, 4)).repeat(12, 1).repeat(12, 2).astype(np.uint8)
    reference = np.where(rng.random(cells.shape) < 0.1, 0, cells)
    reference[:, 20:, 20:] = 255
    prediction = np.where(rng.random(cells.shape) < 0.2, 0, np.roll(cells, 3, 2))
    prediction[:, 20:, 20:] = value
    write_image(tmp_path / "data" / "images" / "a.tif", cells[None])
    write_labels(tmp_path / "data" / "labels" / "a.tif", reference)
    (tmp_path / "data" / "dataset.yaml").write_text("labels: instances\nignore: [255]\nvoxel_size_nm: [4, 4, 4]\n")
    write_labels(tmp_path / "a.tif", prediction)
    found = anyscope.evaluate(tmp_path / "a.tif", tmp_path / "data", protocol=protocol)
    asked = replace(PROTOCOLS[protocol], ignore=(255,))
    assert found.scores == pytest.approx(asked.scores(asked.measure(reference, prediction, (4, 4, 4))), nan_ok=True)


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
