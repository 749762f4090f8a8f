"""Matched objects against StarDist, torchmetrics and a search over all pairs."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given

from anyscope.metrics import contingency
from anyscope.metrics.matching import (
    THRESHOLDS,
    match,
    match_accuracy,
    object_pairs,
    panoptic_quality,
    recognition_quality,
    segmentation_quality,
)

from .label_images import cells, label_pairs, perturbed

OFF_TIES = tuple(threshold + 1e-7 for threshold in THRESHOLDS)
"""StarDist also matches at an IoU equal to the threshold; just above it both agree."""


def matched(reference, prediction, thresholds=THRESHOLDS):
    return match(object_pairs(contingency(reference, prediction)), thresholds)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_stardist(seed):
    stardist = pytest.importorskip("stardist.matching")
    reference = cells(seed)
    prediction = perturbed(reference, seed)
    ours = matched(reference, prediction, OFF_TIES)
    theirs = [stardist.matching(reference, prediction, threshold) for threshold in OFF_TIES]
    for name in ("tp", "fp", "fn"):
        assert getattr(ours, name).tolist() == [getattr(each, name) for each in theirs]
    assert match_accuracy(ours) == pytest.approx([each.accuracy for each in theirs], abs=1e-9)
    assert recognition_quality(ours) == pytest.approx([each.f1 for each in theirs], abs=1e-9)
    # StarDist keeps the IoU itself in single precision.
    assert panoptic_quality(ours) == pytest.approx([each.panoptic_quality for each in theirs], abs=1e-6)
    quality = np.nan_to_num(segmentation_quality(ours))
    assert quality == pytest.approx([each.mean_matched_score for each in theirs], abs=1e-6)
    assert 0 < ours.tp[0] < len(np.unique(reference))


@pytest.mark.parametrize("seed", range(2))
def test_panoptic_quality_agrees_with_torchmetrics(seed):
    from torchmetrics.functional.detection import panoptic_quality as oracle

    reference = cells(seed)
    prediction = perturbed(reference, seed)
    stacked = [torch.from_numpy(np.stack([(a != 0).astype(int), a], -1))[None] for a in (prediction, reference)]
    expected = oracle(*stacked, things={1}, stuffs={0}, return_sq_and_rq=True, return_per_class=True)[0]
    ours = matched(reference, prediction)
    found = [panoptic_quality(ours)[0], segmentation_quality(ours)[0], recognition_quality(ours)[0]]
    assert found == pytest.approx(expected.tolist(), abs=1e-6)


@given(label_pairs(highest=3))
def test_agrees_with_a_search_over_all_pairs(pair):
    reference, prediction = pair
    found = matched(reference, prediction)
    ids = [[label for label in np.unique(labels) if label] for labels in pair]
    ious = {}
    for a in ids[0]:
        for b in ids[1]:
            union = ((reference == a) | (prediction == b)).sum()
            ious[a, b] = ((reference == a) & (prediction == b)).sum() / union
    for index, threshold in enumerate(THRESHOLDS):
        above = [iou for iou in ious.values() if iou > threshold]
        assert found.tp[index] == len(above)
        assert found.fp[index] == len(ids[1]) - len(above)
        assert found.fn[index] == len(ids[0]) - len(above)
        assert found.iou_sum[index] == pytest.approx(sum(above), abs=1e-12)


def test_an_iou_equal_to_the_threshold_is_no_match():
    reference = np.array([1, 1, 1, 1, 0, 2])
    prediction = np.array([5, 5, 0, 0, 0, 7])
    found = matched(reference, prediction)
    assert object_pairs(contingency(reference, prediction)).ious.tolist() == [0.5, 1.0]
    assert found.tp.tolist() == [1] * 10
    assert found.fp.tolist() == [1] * 10
    assert found.fn.tolist() == [1] * 10
    assert match_accuracy(found).tolist() == [1 / 3] * 10


def test_background_counts_in_the_union_only():
    found = object_pairs(contingency(np.array([0, 1, 1, 0]), np.array([2, 2, 2, 0])))
    assert found.ious.tolist() == [2 / 3]
    assert found.reference_sizes.tolist() == [2]
    assert found.prediction_sizes.tolist() == [3]


@given(label_pairs())
def test_swapping_the_sides_swaps_false_positives_and_negatives(pair):
    one, other = matched(*pair), matched(*pair[::-1])
    assert one.tp.tolist() == other.tp.tolist()
    assert one.fp.tolist() == other.fn.tolist()
    assert np.allclose(one.iou_sum, other.iou_sum, atol=1e-12)


def test_no_objects_leave_everything_undefined():
    found = matched(np.zeros(4, int), np.zeros(4, int))
    for measure in (match_accuracy, recognition_quality, segmentation_quality, panoptic_quality):
        assert np.isnan(measure(found)).all()
    missed = matched(np.ones(4, int), np.zeros(4, int))
    assert match_accuracy(missed).tolist() == panoptic_quality(missed).tolist() == [0] * 10
    assert isnan(segmentation_quality(missed)[0])


@pytest.mark.parametrize("threshold", [0.49, 1.0, float("nan")])
def test_thresholds_without_unique_matches_are_refused(threshold):
    with pytest.raises(ValueError, match="thresholds"):
        matched(np.ones(2, int), np.ones(2, int), [threshold])
