from __future__ import annotations

import numpy as np
import pytest

from anyscope.datasets import open_dataset
from anyscope.datasets.strata import measured_snr, strata_of, write_strata
from anyscope.errors import BadInput
from anyscope.images import write_image, write_labels


@pytest.fixture
def graded(tmp_path):
    """Six images of two shapes whose SNR grows with their number."""
    root = tmp_path / "graded"
    for number in range(6):
        shape = (40, 48) if number % 2 else (32, 32)
        random = np.random.default_rng(number)
        labels = np.zeros(shape, np.uint16)
        labels[8:20, 8:20] = 2
        image = random.normal(1000, 10, shape) + 30 * (number + 1) * (labels > 0)
        write_image(root / "images" / f"i{number}.tif", image.astype(np.uint16)[None, None])
        write_labels(root / "labels" / f"i{number}.tif", labels[None])
    (root / "dataset.yaml").write_text("labels: instances\nsplit: {train: [i0, i1], val: [i2], test: [i3, i4, i5]}\n")
    return open_dataset(root)


def test_snr_is_contrast_over_the_spread_of_the_background(graded):
    values = [measured_snr(region) for region in graded.labelled(None)]
    assert values == pytest.approx([3 * (number + 1) for number in range(6)], rel=0.1)


def test_strata_by_snr_and_shape(graded):
    assert strata_of(graded, "snr") == {
        "snr-low": ["i0", "i1"], "snr-middle": ["i2", "i3"], "snr-high": ["i4", "i5"],
    }  # fmt: skip
    assert strata_of(graded, "shape") == {"32x32": ["i0", "i2", "i4"], "40x48": ["i1", "i3", "i5"]}
    assert list(strata_of(graded, "snr", 6)) == [f"snr-{n}-of-6" for n in range(1, 7)]
    with pytest.raises(BadInput, match="at least 7"):
        strata_of(graded, "snr", 7)
    with pytest.raises(BadInput, match="no such rule"):
        strata_of(graded, "colour")


def test_strata_by_file(graded, tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("stem,group\n" + "".join(f"i{n},lab {n // 3}\n" for n in range(6)))
    strata = strata_of(graded, str(table))
    assert strata == {"lab 0": ["i0", "i1", "i2"], "lab 1": ["i3", "i4", "i5"]}
    written = write_strata(graded, strata, tmp_path / "out")
    first = open_dataset(written["lab 0"])
    assert written["lab 0"].name == "lab-0"
    assert list(first.images) == ["i0", "i1", "i2"]
    assert first.kind == "instances"
    assert {part: sorted(stems) for part, stems in first.split.items()} == {
        "train": ["i0", "i1"], "val": ["i2"], "test": [],
    }  # fmt: skip
    np.testing.assert_array_equal(first.images["i1"].read(), graded.images["i1"].read())
    table.write_text("stem,group\ni0,a\n")
    with pytest.raises(BadInput, match="no group for 5 images"):
        strata_of(graded, str(table))
    table.write_text("name,group\ni0,a\n")
    with pytest.raises(BadInput, match="stem and group"):
        strata_of(graded, str(table))
