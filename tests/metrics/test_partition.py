"""Partition scores against scikit-image where definitions agree, and by hand where they differ."""

from __future__ import annotations

from math import isnan, log, log2, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from skimage.metrics import adapted_rand_error, normalized_mutual_information
from skimage.metrics import variation_of_information as skimage_voi

from anyscope.metrics import contingency
from anyscope.metrics.partition import (
    InformationScores,
    RandScores,
    adapted_rand,
    cremi_score,
    partition_sums,
    v_info,
    v_rand,
    variation_of_information,
)

from .label_images import cells, label_pairs, perturbed

# Objects of 4 and 2 pixels, 2 of background; the prediction splits the first and misses a pixel of each.
REFERENCE = np.array([1, 1, 1, 1, 2, 2, 0, 0])
PREDICTION = np.array([3, 3, 4, 0, 3, 0, 3, 0])


def sums(reference, prediction, predicted_zero="segment", reference_zero=False):
    return partition_sums(contingency(reference, prediction), predicted_zero, reference_zero)


@pytest.mark.parametrize("seed", range(4))
def test_adapted_rand_agrees_with_scikit_image(seed):
    reference = cells(seed)
    prediction = perturbed(reference, seed)
    error, precision, recall = adapted_rand_error(reference, prediction, ignore_labels=(0,))
    ours = adapted_rand(sums(reference, prediction), self_pairs=False)
    assert ours.error == pytest.approx(error, abs=1e-9)
    assert (ours.recall, ours.precision) == pytest.approx((precision, recall), abs=1e-9)  # swapped there
    assert 0.01 < error < 0.9


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reference_zero", [False, True])
def test_voi_agrees_with_scikit_image(seed, reference_zero):
    reference = cells(seed)
    prediction = perturbed(reference, seed)
    kept = np.ones(reference.shape, bool) if reference_zero else reference != 0
    merge, split = skimage_voi(reference[kept], prediction[kept])
    merge, split = sorted((merge, split)), (merge, split)
    ours = variation_of_information(sums(reference, prediction, reference_zero=reference_zero))
    # scikit-image returns H(prediction | reference), H(reference | prediction).
    assert (ours.split, ours.merge) == pytest.approx(split, abs=1e-9)
    assert ours.total == pytest.approx(sum(merge), abs=1e-9)


@given(label_pairs(highest=3))
def test_v_info_agrees_with_mutual_information_of_scikit_image(pair):
    reference, prediction = (labels.ravel() for labels in pair)
    assume(np.unique(reference).size > 1)
    assume(np.unique(prediction).size > 1)
    ours = v_info(sums(reference, prediction, reference_zero=True))
    edges = [np.arange(5) - 0.5] * 2
    expected = normalized_mutual_information(reference, prediction, bins=edges)
    assert ours == pytest.approx(2 - 2 / expected, abs=1e-9)


def test_predicted_zero_as_one_segment_by_hand():
    # pairs 1-3: 2, 1-4: 1, 1-0: 1, 2-3: 1, 2-0: 1; segments 3: 3, 4: 1, 0: 2; objects 4, 2
    ours = adapted_rand(sums(REFERENCE, PREDICTION, "segment"))
    assert ours.precision == 8 / 14
    assert ours.recall == 8 / 20
    assert ours.error == pytest.approx(1 - 16 / 34, abs=1e-12)


def test_predicted_zero_as_singletons_by_hand():
    # the two zeros become segments of one pixel each: squares 1 + 1 on both sides
    ours = adapted_rand(sums(REFERENCE, PREDICTION, "singletons"))
    assert ours.precision == 8 / 12
    assert ours.recall == 8 / 20


def test_predicted_zero_as_near_singletons_by_hand():
    # 2 of 8 pixels, reference background included: squares grow by 2 / 8
    ours = adapted_rand(sums(REFERENCE, PREDICTION, "near-singletons"))
    assert ours.precision == 6.25 / 10.25
    assert ours.recall == 6.25 / 20


def test_singletons_equal_pixels_with_labels_of_their_own():
    own = np.where(PREDICTION == 0, 100 + np.arange(PREDICTION.size), PREDICTION)
    ours, explicit = sums(REFERENCE, PREDICTION, "singletons"), sums(REFERENCE, own, "segment")
    assert adapted_rand(ours) == adapted_rand(explicit)
    assert variation_of_information(ours) == variation_of_information(explicit)
    assert (v_rand(ours), v_info(ours)) == (v_rand(explicit), v_info(explicit))


def test_treatments_differ_on_perfect_labels_with_boundaries_of_zero():
    reference = np.kron(np.arange(1, 37).reshape(6, 6), np.ones((12, 12), int))
    prediction = reference.copy()
    prediction[::12] = prediction[:, ::12] = 0
    segment, singletons, near = (
        adapted_rand(sums(reference, prediction, zero)).error for zero in ("segment", "singletons", "near-singletons")
    )
    assert 0.1 < singletons < 0.2 < 0.3 < segment
    assert near == pytest.approx(singletons, abs=0.01)


def test_voi_by_hand():
    ours = variation_of_information(sums(REFERENCE, PREDICTION))
    split = (4 / 6) * (1 / 2 + 2 * log2(4) / 4) + (2 / 6) * 1
    merge = (3 / 6) * (log2(3) - 2 / 3) + (2 / 6) * 1
    assert (ours.split, ours.merge) == pytest.approx((split, merge), abs=1e-12)
    natural = variation_of_information(sums(REFERENCE, PREDICTION), base=np.e)
    assert natural.split == pytest.approx(split * log(2), abs=1e-12)


@given(label_pairs(), label_pairs())
def test_pooled_images_are_those_of_one_image_with_distinct_labels(one, other):
    pooled = sums(*one) + sums(*other)
    apart = [np.concatenate([a.ravel(), np.where(b == 0, 0, b + 50).ravel()]) for a, b in zip(one, other, strict=True)]
    # The zeros of the two predictions are two segments.
    apart[1] = np.concatenate([one[1].ravel(), other[1].ravel() + 50])
    joined = sums(*apart)
    if pooled.pixels == 0:
        assert isnan(adapted_rand(pooled).error)
        return
    assert adapted_rand(pooled).error == pytest.approx(adapted_rand(joined).error, abs=1e-9)
    assert variation_of_information(pooled).total == pytest.approx(variation_of_information(joined).total, abs=1e-9)


@given(label_pairs())
def test_swapping_the_sides_swaps_split_and_merge(pair):
    one, other = (sums(*each, reference_zero=True) for each in (pair, pair[::-1]))
    assert adapted_rand(one).precision == pytest.approx(adapted_rand(other).recall, abs=1e-12)
    assert variation_of_information(one).split == pytest.approx(variation_of_information(other).merge, abs=1e-9)
    assert v_rand(one) == pytest.approx(v_rand(other), abs=1e-12)
    assert v_rand(one, alpha=0.2) == pytest.approx(v_rand(other, alpha=0.8), abs=1e-12)


@given(label_pairs())
def test_equal_partitions_are_perfect(pair):
    reference = pair[0] + 1
    same = sums(reference, 9 - reference)
    assert adapted_rand(same) == RandScores(0, 1, 1)
    assert variation_of_information(same).total == pytest.approx(0, abs=1e-12)
    assert variation_of_information(same).split >= 0
    assert v_rand(same) == 1
    assert v_info(same) == pytest.approx(1, abs=1e-9) or np.unique(reference).size == 1


def test_v_rand_is_the_complement_of_the_adapted_rand_error():
    ours = sums(cells(0), perturbed(cells(0), 0), "singletons")
    assert v_rand(ours) == pytest.approx(1 - adapted_rand(ours).error, abs=1e-12)
    assert v_rand(ours, alpha=1) == adapted_rand(ours).precision
    assert v_rand(ours, alpha=0) == adapted_rand(ours).recall


def test_cremi_score_is_the_geometric_mean():
    assert cremi_score(RandScores(0.09, 1, 1), InformationScores(0.3, 0.7)) == pytest.approx(sqrt(0.09))


def test_nothing_to_score_is_undefined():
    nothing = sums(np.zeros(3, int), np.ones(3, int))
    information = variation_of_information(nothing)
    values = [adapted_rand(nothing).error, information.split, information.merge, v_rand(nothing), v_info(nothing)]
    assert all(isnan(value) for value in [*values, cremi_score(adapted_rand(nothing), information)])


def test_an_unknown_treatment_is_refused():
    with pytest.raises(ValueError, match="predicted_zero"):
        sums(REFERENCE, PREDICTION, "ignored")
