"""Contributions of objects against the scores they must add up to, against pairs of pixels, and by hand."""

from __future__ import annotations

from math import isnan, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, variation_of_information

from anyscope.metrics import contingency
from anyscope.metrics.contributions import information_contributions, rand_contributions
from anyscope.metrics.partition import adapted_rand, partition_sums
from anyscope.metrics.partition import variation_of_information as voi

from .label_images import cells, label_pairs, perturbed

ZEROS = ["segment", "singletons", "near-singletons"]


@given(label_pairs(), st.sampled_from(ZEROS), st.booleans())
def test_they_add_up_to_the_adapted_rand_error(pair, predicted_zero, self_pairs):
    table = contingency(*pair)
    parts = rand_contributions(table, predicted_zero, self_pairs)
    assert parts.score == pytest.approx(
        adapted_rand(partition_sums(table, predicted_zero), self_pairs).error, abs=1e-12, nan_ok=True
    )
    for amounts in (parts.splitting, parts.unpredicted, parts.merging):
        assert (amounts >= 0).all()


@given(label_pairs(), st.sampled_from(ZEROS), st.sampled_from([2.0, 10.0]))
def test_they_add_up_to_the_variation_of_information(pair, predicted_zero, base):
    table = contingency(*pair)
    parts = information_contributions(table, predicted_zero, base)
    expected = voi(partition_sums(table, predicted_zero), base)
    assert parts.score == pytest.approx(expected.total, abs=1e-12, nan_ok=True)
    if not isnan(expected.split):
        assert parts.splitting.sum() / parts.scale == pytest.approx(expected.split, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_they_add_up_to_the_scores_of_scikit_image(seed):
    reference = cells(seed)
    prediction = perturbed(reference, seed)
    table = contingency(reference, prediction)
    assert rand_contributions(table).score == pytest.approx(
        adapted_rand_error(reference, prediction, ignore_labels=(0,))[0], abs=1e-9
    )
    foreground = reference != 0
    assert information_contributions(table).score == pytest.approx(
        sum(variation_of_information(reference[foreground], prediction[foreground])), abs=1e-9
    )


@given(label_pairs())
def test_amounts_are_the_pairs_of_pixels_that_disagree(pair):
    reference, prediction = (labels.ravel() for labels in pair)
    scored = reference != 0
    reference, prediction = reference[scored], prediction[scored]
    together = reference[:, None] == reference[None]
    joined = prediction[:, None] == prediction[None]
    parts = rand_contributions(contingency(*pair))
    for name, amount in zip(parts.reference_ids, parts.splitting, strict=True):
        assert amount == (together & ~joined)[reference == name].sum()
    for name, amount in zip(parts.reference_ids, parts.unpredicted, strict=True):
        assert amount == (joined & ~together)[(reference == name) & (prediction == 0)].sum()
    for name, amount in zip(parts.prediction_ids, parts.merging, strict=True):
        assert amount == (joined & ~together)[prediction == name].sum()


def test_by_hand():
    # Objects 1 (4 pixels: cut in 2, 1 and 1 predicted 0) and 2 (2 pixels: 1 joined to 3, 1 predicted 0).
    reference = np.array([1, 1, 1, 1, 2, 2, 0, 0])
    prediction = np.array([3, 3, 4, 0, 3, 0, 3, 0])
    rand = rand_contributions(contingency(reference, prediction))
    assert rand.reference_ids.tolist() == [1, 2]
    assert rand.prediction_ids.tolist() == [3, 4]
    assert rand.splitting.tolist() == [16 - 4 - 1 - 1, 4 - 1 - 1]
    assert rand.unpredicted.tolist() == [1, 1]
    assert rand.merging.tolist() == [9 - 4 - 1, 0]
    assert rand.scale == (16 + 4 - 6) + (9 + 1 + 4 - 6)
    alone = rand_contributions(contingency(reference, prediction), "singletons", self_pairs=True)
    assert alone.unpredicted.tolist() == [0, 0]
    assert alone.scale == (16 + 4) + (9 + 1 + 2)
    information = information_contributions(contingency(reference, prediction))
    assert information.splitting.tolist() == pytest.approx([2 * 1 + 2 + 2, 1 + 1])
    assert information.unpredicted.tolist() == pytest.approx([1, 1])
    assert information.merging.tolist() == pytest.approx([2 * log2(3 / 2) + log2(3), 0])
    assert information.scale == 6


def test_images_are_pooled_by_adding():
    tables = [contingency(cells(seed), perturbed(cells(seed), seed)) for seed in range(3)]
    for parts, pooled in (
        ([rand_contributions(table) for table in tables],
         lambda sums: adapted_rand(sums, self_pairs=False).error),
        ([information_contributions(table) for table in tables], lambda sums: voi(sums).total),
    ):  # fmt: skip
        sums = [partition_sums(table, "segment") for table in tables]
        amounts = sum(part.score * part.scale for part in parts)
        assert amounts / sum(part.scale for part in parts) == pytest.approx(pooled(sums[0] + sums[1] + sums[2]))


def test_nothing_to_score_is_undefined():
    nothing = contingency(np.zeros(4, int), np.array([0, 1, 1, 2]))
    assert isnan(rand_contributions(nothing).score)
    assert isnan(information_contributions(nothing).score)
