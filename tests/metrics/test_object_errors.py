"""Kinds of errors by hand, and what must hold for any two label images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.metrics import contingency
from anyscope.metrics.matching import match, object_pairs
from anyscope.metrics.object_errors import LinkRule, ObjectErrors, object_errors

from .label_images import label_pairs


def errors_of(runs: list[tuple[int, int, int]], rule: LinkRule | None = None) -> ObjectErrors:
    """Of an image made of runs (reference, prediction, pixels)."""
    reference = np.repeat([run[0] for run in runs], [run[2] for run in runs])
    prediction = np.repeat([run[1] for run in runs], [run[2] for run in runs])
    return object_errors(contingency(reference, prediction), rule)


def names(ids: np.ndarray, flags: np.ndarray) -> list[int]:
    return ids[flags].tolist()


def test_every_kind_by_hand():
    errors = errors_of([
        (0, 0, 500),
        (1, 11, 90), (1, 0, 10),                  # found: IoU .9
        (2, 12, 60), (2, 13, 40),                 # split in two
        (3, 14, 100), (4, 14, 30), (0, 14, 5),    # merged, the small one swallowed
        (5, 0, 80), (5, 15, 9), (0, 15, 40),      # missed: 9 pixels are a speck
        (6, 16, 40), (6, 0, 60),                  # inexact: IoU .4
    ])  # fmt: skip
    assert names(errors.reference_ids, errors.found) == [1]
    assert names(errors.reference_ids, errors.split) == [2]
    assert names(errors.reference_ids, errors.merged) == [3, 4]
    assert names(errors.reference_ids, errors.missed) == [5]
    assert names(errors.reference_ids, errors.inexact) == [6]
    assert names(errors.prediction_ids, errors.merge) == [14]
    assert names(errors.prediction_ids, errors.invented) == [15]
    assert names(errors.prediction_ids, errors.partners) == [11, 16]
    assert errors.of_reference(1) == ((12, 60), (13, 40))
    assert errors.of_prediction(3) == ((3, 100), (4, 30))
    assert errors.of_reference(4) == ()
    assert errors.prediction_sizes.tolist() == [90, 60, 40, 135, 49, 40]
    assert errors.numbers() == {
        "found": 1, "inexact": 1, "split": 1, "merged": 2, "missed": 1, "merge": 1, "invented": 1,
    }  # fmt: skip


def test_a_piece_of_one_object_that_went_to_another_cuts_the_first_and_merges_both():
    errors = errors_of([(1, 11, 70), (1, 12, 30), (2, 12, 100)])
    assert errors.split.tolist() == [True, False]
    assert errors.merged.tolist() == [True, True]
    assert errors.merge.tolist() == [False, True]
    # Below the share, it is a matter of outlines.
    assert errors_of([(1, 11, 76), (1, 12, 24), (2, 12, 100)]).found.tolist() == [True, True]
    assert not errors_of([(1, 11, 70), (1, 12, 30), (2, 12, 100)], LinkRule(share=0.4)).split.any()


def test_specks_cut_nothing_but_small_objects_are_found():
    speck = [(1, 11, 991), (1, 12, 9)]
    errors = errors_of(speck)
    assert errors.found.tolist() == [True]
    assert names(errors.prediction_ids, errors.invented) == [12]
    assert errors_of(speck, LinkRule(speck_px=9)).split.tolist() == [True]
    assert errors_of([(1, 11, 4), (1, 0, 1)]).found.tolist() == [True]


@given(label_pairs(), st.floats(0.05, 1), st.integers(0, 4))
def test_kinds_are_exhaustive_and_found_objects_are_matches(pair, share, speck):
    table = contingency(*pair)
    errors = object_errors(table, LinkRule(share, speck))
    kinds = [errors.found, errors.inexact, errors.missed, errors.split | errors.merged]
    assert (np.sum(kinds, axis=0) == 1).all()
    assert (np.sum([errors.partners, errors.merge, errors.invented], axis=0) <= 1).all()
    pieces_of_splits = np.isin(np.arange(errors.prediction_ids.size), errors.cols[errors.split[errors.rows]])
    assert (errors.partners | errors.merge | errors.invented | pieces_of_splits).all()
    assert errors.partners.sum() == errors.found.sum() + errors.inexact.sum()
    matched = match(object_pairs(table), [0.5]).tp[0]
    assert errors.found.sum() <= matched
    assert matched <= errors.found.sum() + (errors.split | errors.merged).sum()
    assert errors.counts.sum() <= table.total


@given(label_pairs())
def test_roles_exchanged_splits_are_merges(pair):
    one = object_errors(contingency(*pair), LinkRule(speck_px=2))
    other = object_errors(contingency(*pair[::-1]), LinkRule(speck_px=2))
    assert one.split.tolist() == other.merge.tolist()
    assert one.missed.tolist() == other.invented.tolist()
    assert one.found.sum() == other.found.sum()


def test_an_empty_image_has_no_objects():
    errors = errors_of([(0, 0, 9)])
    assert set(errors.numbers().values()) == {0}


@pytest.mark.parametrize(("share", "speck"), [(0.0, 1), (1.1, 1), (float("nan"), 1), (0.5, -1)])
def test_rules_out_of_range_are_refused(share, speck):
    with pytest.raises(BadInput):
        LinkRule(share, speck)


def test_the_rule_reads_as_a_sentence():
    assert str(LinkRule()) == "IoU above 0.5, or at least 25% of the smaller object and 10 pixels in common"
