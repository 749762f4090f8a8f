"""Mask and class overlap against torchmetrics and plain counting."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given
from torchmetrics.functional import classification as oracle

from anyscope.metrics import contingency
from anyscope.metrics.overlap import Overlap, class_overlaps, foreground_overlap, mean_iou

from .label_images import cells, label_pairs, perturbed


@pytest.mark.parametrize("seed", range(3))
def test_masks_agree_with_torchmetrics(seed):
    reference, prediction = cells(seed), perturbed(cells(seed), seed)
    overlap = foreground_overlap(contingency(reference, prediction))
    target, guess = (torch.from_numpy((labels != 0).astype(np.int64)) for labels in (reference, prediction))
    assert overlap.iou == pytest.approx(float(oracle.binary_jaccard_index(guess, target)), abs=1e-6)
    assert overlap.dice == pytest.approx(float(oracle.binary_f1_score(guess, target)), abs=1e-6)
    assert overlap.precision == pytest.approx(float(oracle.binary_precision(guess, target)), abs=1e-6)
    assert overlap.recall == pytest.approx(float(oracle.binary_recall(guess, target)), abs=1e-6)
    assert overlap.accuracy == pytest.approx(float(oracle.binary_accuracy(guess, target)), abs=1e-6)


@given(label_pairs())
def test_counts_are_those_of_boolean_masks(pair):
    reference, prediction = (labels != 0 for labels in pair)
    overlap = foreground_overlap(contingency(*pair))
    assert overlap.tp == (reference & prediction).sum()
    assert overlap.fp == (~reference & prediction).sum()
    assert overlap.fn == (reference & ~prediction).sum()
    assert overlap.tn == (~reference & ~prediction).sum()


@given(label_pairs())
def test_classes_agree_with_counting(pair):
    reference, prediction = pair
    overlaps = class_overlaps(contingency(reference, prediction))
    assert set(overlaps) == set(np.unique(reference)) | set(np.unique(prediction))
    for label, overlap in overlaps.items():
        both = ((reference == label) & (prediction == label)).sum()
        either = ((reference == label) | (prediction == label)).sum()
        assert overlap.iou == both / either
        assert overlap.tp + overlap.fp + overlap.fn + overlap.tn == reference.size


def test_classes_agree_with_torchmetrics():
    reference, prediction = np.random.default_rng(0).integers(0, 5, (2, 40, 40))
    overlaps = class_overlaps(contingency(reference, prediction))
    expected = oracle.multiclass_jaccard_index(
        torch.from_numpy(prediction), torch.from_numpy(reference), num_classes=5, average=None
    )
    assert [overlap.iou for overlap in overlaps.values()] == pytest.approx(expected.tolist(), abs=1e-6)
    assert mean_iou(overlaps.values()) == pytest.approx(float(expected.mean()), abs=1e-6)


@given(label_pairs())
def test_swapping_the_sides_swaps_precision_and_recall(pair):
    one, other = (foreground_overlap(contingency(*each)) for each in (pair, pair[::-1]))
    assert (one.tp, one.fp, one.fn, one.tn) == (other.tp, other.fn, other.fp, other.tn)


def test_undefined_ratios_are_nan():
    nothing = Overlap(0, 0, 0, 4)
    assert all(isnan(value) for value in (nothing.iou, nothing.dice, nothing.precision, nothing.recall))
    assert nothing.complement.iou == 1
    assert isnan(mean_iou([nothing]))
    assert mean_iou([nothing, nothing.complement]) == 1
