from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from anyscope.assay.statistics import (
    RankCorrelation,
    rank_correlation,
    ranks_with_ties,
    resamples,
    shares_of_variance,
)


def test_models_that_differ_by_chance_share_a_rank():
    random = np.random.default_rng(0)
    images = random.normal([0.8, 0.8, 0.5], 0.05, (40, 3))
    samples = resamples(40, random)
    draws = images[samples].mean(axis=1)
    assert ranks_with_ties(images.mean(axis=0), draws).tolist() == [1, 1, 3]
    without = ranks_with_ties(np.array([np.nan, 0.8, 0.5]), draws)
    assert without.tolist() == [0, 1, 2]


def test_no_model_ranks_behind_one_of_a_lower_score():
    """The second is always a little behind the first; the third is lower still, but varies too much to tell."""
    random = np.random.default_rng(0)
    best = random.uniform(0.5, 0.9, 20)
    images = np.stack([best, best - 0.02, best - 0.05 + random.normal(0, 0.3, 20)], axis=1)
    images[:, 2] += best.mean() - 0.05 - images[:, 2].mean()
    draws = images[resamples(20, random)].mean(axis=1)
    assert ranks_with_ties(images.mean(axis=0), draws).tolist() == [1, 1, 1]
    assert ranks_with_ties(images[:, :2].mean(axis=0), draws[:, :2]).tolist() == [1, 2]


def test_a_small_but_constant_difference_is_no_tie():
    """Images differ much, models little but always: the bootstrap is paired."""
    images = np.random.default_rng(1).uniform(0.2, 0.9, (30, 1)) + np.array([[0.0, 0.01]])
    draws = images[resamples(30, np.random.default_rng(2))].mean(axis=1)
    assert ranks_with_ties(images.mean(axis=0), draws).tolist() == [2, 1]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(3, 12))
def test_correlations_equal_scipy(seed, models):
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 6, models).astype(float), random.integers(0, 6, models).astype(float)
    found = rank_correlation(a, b, (np.tile(a, (3, 1)), np.tile(b, (3, 1))), random)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(found.spearman)
        assert not found.tells
        return
    assert found.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(a, b).statistic)


def test_few_models_do_not_tell():
    a = np.arange(4.0)
    perfect = rank_correlation(a, a, (np.tile(a, (200, 1)),) * 2, np.random.default_rng(0))
    assert perfect.spearman == pytest.approx(1)
    assert perfect.p_value > 0.05
    assert "too small a sample" in perfect.describe()
    a = np.arange(12.0)
    many = rank_correlation(a, a, (np.tile(a, (200, 1)),) * 2, np.random.default_rng(0))
    assert many.tells
    assert many.p_value < 0.01
    assert many.low > 0.9
    assert "too small" not in many.describe()
    two = rank_correlation(a[:2], a[:2], (a[None, :2],) * 2, np.random.default_rng(0))
    assert "no correlation can be computed for 2 models" in two.describe()


def test_a_model_without_a_score_is_left_out():
    a = np.array([1.0, 2, 3, 4, np.nan])
    draws = np.tile(a, (5, 1))
    assert rank_correlation(a, a[::-1], (draws, draws), np.random.default_rng(0)).models == 3


def test_the_p_value_is_that_of_the_permutation_test():
    random = np.random.default_rng(3)
    a = random.normal(size=9)
    b = a + random.normal(size=9)
    found = rank_correlation(a, b, (a[None], b[None]), random)
    result = stats.permutation_test(
        (a,), lambda x: stats.spearmanr(x, b).statistic, permutation_type="pairings", n_resamples=4000, rng=random
    )
    assert found.p_value == pytest.approx(result.pvalue, abs=0.03)


@settings(deadline=None)
@given(arrays(float, (4, 6), elements=st.floats(0, 1, width=16)))
def test_shares_add_up_to_one(parts):
    shares = shares_of_variance(parts)
    if np.isnan(shares).any():
        assert np.allclose(parts.mean(axis=0), parts.mean())
    else:
        assert shares.sum() == pytest.approx(1, abs=1e-6)


def test_independent_parts_share_by_their_variance():
    a, b = np.array([1.0, -1, 1, -1]), np.array([3.0, 3, -3, -3])
    assert shares_of_variance(np.stack([a, b])).tolist() == pytest.approx([0.1, 0.9])


def test_a_description_has_its_numbers():
    text = RankCorrelation(0.7, 0.5, 0.1, 0.9, 0.01, 12).describe()
    assert text == "Spearman 0.70 [0.10, 0.90], Kendall 0.50, p = 0.010, 12 models"
