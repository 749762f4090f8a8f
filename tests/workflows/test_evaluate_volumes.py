"""Volumes are counted box by box, with the scores of the whole."""

from __future__ import annotations

import numpy as np
import pytest

import anyscope
from anyscope.images import Image, read_labels, write_labels
from anyscope.workflows import evaluate as module


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    root = tmp_path_factory.mktemp("volume") / "data"
    return anyscope.data_volume(root, (40, 128, 120), seed=2)


@pytest.mark.parametrize("protocol", ["instances", "semantic", "instances_2d"])
@pytest.mark.parametrize("whole", [True, False], ids=["dataset", "file"])
def test_scores_box_by_box(volume, tmp_path, monkeypatch, protocol, whole):
    truth = volume / "labels" / "volume.ome.zarr"
    labels = read_labels(truth)
    prediction = tmp_path / "prediction.ome.zarr"
    write_labels(prediction, np.roll(labels, 2, axis=2))
    reference = volume if whole else truth
    expected = anyscope.evaluate(prediction, reference, protocol=protocol)
    monkeypatch.setattr(module, "PIECEWISE_VOXELS", 1000)
    read, real = [], Image.read

    def watched(image, region=None):
        read.append(region)
        return real(image, region)

    monkeypatch.setattr(Image, "read", watched)
    found = anyscope.evaluate(prediction, reference, protocol=protocol)
    assert found.scores == expected.scores
    assert 0.5 < next(iter(found.scores.values())) <= 1
    assert None not in read  # None reads everything
    assert anyscope.evaluate(prediction, reference).protocol == "instances"
