"""The worst of several attacks, against trying all choices."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anyscope.assay.conditions import Condition
from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import Tally, _fill_ensembles
from anyscope.assay.worst_case import greedy_choice, mean_overlap, members, worst_of_each

COUNTS = arrays(np.float64, (3, 4, 2, 3), elements=st.integers(0, 50).map(float))


def pooled(counts, chosen):
    return float(np.nan_to_num(mean_overlap(counts[chosen, np.arange(counts.shape[1])].sum(axis=0)), nan=1.0))


@given(COUNTS)
@settings(max_examples=60, deadline=None)
def test_the_greedy_choice_is_never_weaker_than_any_attack_or_the_worst_of_each(counts):
    lowest = pooled(counts, greedy_choice(counts, np.random.default_rng(0)))
    for attack in range(3):
        assert lowest <= pooled(counts, np.full(4, attack)) + 1e-12
    assert lowest <= pooled(counts, worst_of_each(counts)) + 1e-12
    best = min(pooled(counts, np.array(choice)) for choice in product(range(3), repeat=4))
    assert lowest >= best - 1e-12


@given(COUNTS)
@settings(max_examples=40, deadline=None)
def test_no_single_swap_lowers_the_greedy_choice(counts):
    chosen = greedy_choice(counts, np.random.default_rng(1))
    lowest = pooled(counts, chosen)
    for image, attack in product(range(4), range(3)):
        other = chosen.copy()
        other[image] = attack
        assert pooled(counts, other) > lowest - 2e-6


def test_the_swap_finds_what_no_image_finds_alone():
    """One big image and one small: the small one's worst score costs the pooled score more than its better one.

    Image 0: TP 90, FP 10 under both. Image 1: attack 0 leaves 1 of 2 pixels (IoU .5), attack 1 leaves 60 of 100 (.6).
    Alone, attack 0 is worse; pooled, attack 1: (90 + 60) / (100 + 100) = .75 against (90 + 1) / (100 + 2) = .89.
    """
    counts = np.array([[[[90, 10, 0]], [[1, 0, 1]]], [[[90, 10, 0]], [[60, 40, 0]]]], float)
    assert worst_of_each(counts)[1] == 0
    chosen = greedy_choice(counts, np.random.default_rng(0))
    assert chosen[1] == 1
    assert pooled(counts, chosen) == 0.75


def test_ensembles_are_filled_from_their_members():
    keys = ["clean", "sea_balanced@8", "sea_masked@8", "sea_js@8", "sea@8", "square@8", "square@2", "worst@8",
            "random_noise@8", "transfer/a@8"]  # fmt: skip
    conditions = tuple(Condition.parse(key) for key in keys)
    assert members(conditions[4], conditions) == [1, 2, 3]
    assert members(conditions[7], conditions) == [1, 2, 3, 5, 8, 9]
    values = np.array([0.9, 0.5, 0.4, 0.6, np.nan, 0.3, 0.1, np.nan, 0.8, 0.7])
    baseline = np.where(np.isin(keys, ["clean", "transfer/a@8"]), values, np.nan)
    table = np.stack([values, baseline])[:, :, None] * np.ones((2, 10, 3))
    counts = np.stack([100 * table, 100 * (1 - table), 0 * table], axis=-1)[..., None, :]
    _fill_ensembles(counts, conditions, seed=0)
    tally = Tally("mask", ("a", "otsu"), conditions, ("x", "y", "z"), counts)
    scores = AssayScores(tally, {}, "a")
    np.testing.assert_allclose(scores.of(conditions[4]), [0.4, np.nan])
    np.testing.assert_allclose(scores.of(conditions[7]), [0.3, 0.7])
    assert tally.complete().tolist() == [True, True]
    np.testing.assert_allclose(scores.attacked, [0.5, np.nan])  # ensembles and black boxes do not count twice
