"""Ranked average precision against a plain greedy matcher and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.metrics import contingency
from anyscope.metrics.matching import THRESHOLDS, object_pairs
from anyscope.metrics.ranked import average_precision, detections, reference_counts

from .label_images import cells, label_pairs, perturbed

RANGES = {"all": (0, np.inf), "small": (0, 3), "large": (3, np.inf)}


def precision_of(reference, prediction, scores=None, thresholds=THRESHOLDS, ranges=RANGES):
    pairs = object_pairs(contingency(reference, prediction))
    scores = pairs.prediction_sizes.astype(float) if scores is None else np.asarray(scores, float)
    return average_precision(detections(pairs, scores, ranges), reference_counts(pairs, ranges), thresholds, ranges)


def greedy(reference, prediction, threshold):
    """All sizes, objects ranked by size: the surest object takes the free reference object it overlaps best."""
    ids = [[label for label in np.unique(labels) if label] for labels in (reference, prediction)]
    sizes = {b: (prediction == b).sum() for b in ids[1]}

    def iou(a, b):
        return ((reference == a) & (prediction == b)).sum() / ((reference == a) | (prediction == b)).sum()

    best = {b: max((iou(a, b) for a in ids[0]), default=0) for b in ids[1]}
    free, flags = set(ids[0]), []
    for b in sorted(ids[1], key=lambda b: (-sizes[b], best[b])):
        hits = [(iou(a, b), a) for a in free if iou(a, b) >= threshold]
        flags.append(bool(hits))
        if hits:
            free.discard(max(hits)[1])
    points = [(sum(flags[: k + 1]), sum(flags[: k + 1]) / (k + 1)) for k in range(len(flags))]
    levels = [max((p for tp, p in points if 100 * tp >= level * len(ids[0])), default=0.0) for level in range(101)]
    return np.mean(levels)


@given(label_pairs(highest=3), st.sampled_from([0.55, 0.7, 0.95]))
def test_agrees_with_a_greedy_matcher(pair, threshold):
    found = precision_of(*pair, thresholds=[threshold])[0, 0]
    if pair[0].any():
        assert found == pytest.approx(greedy(*pair, threshold), abs=1e-12)
    else:
        assert np.isnan(found)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_greedy_matcher_on_cells(seed):
    reference = cells(seed, objects=20)
    prediction = perturbed(reference, seed)
    found = precision_of(reference, prediction)[:, 0]
    assert found == pytest.approx([greedy(reference, prediction, threshold) for threshold in THRESHOLDS], abs=1e-12)


def test_three_objects_by_hand():
    # Ranked: hit, miss, hit, of three reference objects: precision 1 up to recall 1/3, then 2/3 up to 2/3, then 0.
    reference = np.array([1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3])
    prediction = np.array([4, 4, 4, 4, 5, 5, 5, 0, 6, 6, 0])
    assert precision_of(reference, prediction)[:, 0] == pytest.approx([(34 + 33 * 2 / 3) / 101] * 10)
    # With the miss ranked first: precision 1/2 at recall 1/3, 2/3 at 2/3.
    assert precision_of(reference, prediction, [0.5, 0.9, 0.4])[0, 0] == pytest.approx(67 * (2 / 3) / 101)


def test_size_ranges_by_hand():
    # A large object is found as a small one: it is neither right nor wrong among the small ones.
    reference = np.array([1, 1, 1, 1, 1, 0, 2, 2, 0, 0, 0])
    prediction = np.array([7, 7, 7, 0, 0, 0, 8, 8, 0, 9, 9])
    assert precision_of(reference, prediction, [3, 2, 1], thresholds=[0.5])[0].tolist() == [1, 1, 1]
    # By size, the false object ties with the small one and comes before it.
    everything, small, large = precision_of(reference, prediction, thresholds=[0.5])[0]
    assert everything == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert small == pytest.approx(1 / 2)
    assert large == pytest.approx(1)
    # Ranked first, it costs more among all, and still nothing among the large ones.
    everything, small, large = precision_of(reference, prediction, [2, 1, 3], thresholds=[0.5])[0]
    assert everything == pytest.approx(2 / 3)
    assert small == pytest.approx(1 / 2)
    assert large == pytest.approx(1)


def test_two_halves_of_one_object_are_one_hit():
    halves = precision_of(np.ones(4, int), np.array([1, 1, 2, 2]), [0.9, 0.8], thresholds=[0.5])[0, 0]
    assert halves == 1
    table = detections(object_pairs(contingency(np.ones(4, int), np.array([1, 1, 2, 2]))), np.array([0.8, 0.9]), RANGES)
    assert table[:, 2].tolist() == [0, 0.5]


@given(label_pairs(highest=3), label_pairs(highest=3))
def test_images_are_joined_by_joining_their_rows(one, other):
    pairs = [object_pairs(contingency(*each)) for each in (one, other)]
    tables = [detections(each, each.prediction_sizes.astype(float), RANGES) for each in pairs]
    references = sum(reference_counts(each, RANGES) for each in pairs)
    joined = average_precision(np.concatenate(tables), references, THRESHOLDS, RANGES)
    flat = [np.concatenate([a.ravel(), np.where(b == 0, 0, b + 10).ravel()]) for a, b in zip(one, other, strict=True)]
    assert np.allclose(joined, precision_of(*flat), equal_nan=True, atol=1e-12)


@given(label_pairs(highest=3), st.permutations(range(1, 4)))
def test_ids_do_not_matter(pair, names):
    renamed = [np.array([0, *names])[labels] for labels in pair]
    assert np.allclose(precision_of(*pair), precision_of(*renamed), equal_nan=True, atol=1e-12)


def test_nothing_predicted_scores_zero():
    assert precision_of(np.ones(9, int), np.zeros(9, int))[0].tolist()[0] == 0
