"""Uncertainty of an assay: paired bootstrap over images, ranks with ties, rank correlations, shares of variance."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
RESAMPLES = 1000


def resamples(images: int, rng: np.random.Generator, count: int = RESAMPLES) -> NDArray[np.intp]:
    """Bootstrap samples (count, images) of indices of images. All models see the same ones: differences are paired."""
    return rng.integers(images, size=(count, images), dtype=np.intp)


def interval(values: Numbers, axis: int = 0) -> tuple[Numbers, Numbers]:
    """The 95 % percentile interval along an axis; NaN where any value is.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    low, high = np.quantile(values, [0.025, 0.975], axis=axis)
    return low, high


def ranks_with_ties(values: Numbers, draws: Numbers) -> NDArray[np.int64]:
    """Rank of every model: 1 plus the number of models that are better beyond chance.

    A model is better beyond chance where the 95 % interval of the paired difference lies above 0. No model ranks behind
    one of a lower score, whose difference to the best may be of larger spread: they tie then.

    Args:
        values: Scores (models,), more is better; NaN is not ranked (rank 0).
        draws: Scores (resamples, models) of bootstrap samples of the images.
    """
    ranks = np.zeros(len(values), np.int64)
    ranked = np.isfinite(values)
    for model in np.flatnonzero(ranked):
        low, _ = interval(draws[:, ranked] - draws[:, [model]])
        ranks[model] = 1 + int((low > 0).sum())
    order = [model for model in np.argsort(-values, kind="stable") if ranked[model]]
    ranks[order] = np.minimum.accumulate(ranks[order][::-1])[::-1]
    return ranks


def average_ranks(values: Numbers) -> Numbers:
    """Ranks from 1, equal values sharing the mean of theirs."""
    from scipy.stats import rankdata

    ranks: Numbers = rankdata(values)
    return ranks


@dataclass(frozen=True)
class RankCorrelation:
    """How far two orders of models agree.

    Args:
        spearman, kendall: Spearman's rho and Kendall's tau-b; NaN for fewer than three models or a constant.
        low, high: 95 % interval of Spearman's rho over resampled models and images.
        p_value: Probability of a rho at least as far from 0 for models in random order.
        models: Number of models.
    """

    spearman: float
    kendall: float
    low: float
    high: float
    p_value: float
    models: int

    @property
    def tells(self) -> bool:
        """Whether it is more than chance: p below .05 and an interval without 0."""
        return self.p_value < 0.05 and (self.low > 0 or self.high < 0)

    def describe(self) -> str:
        """One clause with the numbers."""
        if not np.isfinite(self.spearman):
            return f"no correlation can be computed for {self.models} model{'s' if self.models != 1 else ''}"
        numbers = (
            f"Spearman {self.spearman:.2f} [{self.low:.2f}, {self.high:.2f}], Kendall {self.kendall:.2f}, "
            f"p = {self.p_value:.3f}, {self.models} models"
        )
        return numbers if self.tells else f"{numbers}: too small a sample to tell it from chance"


def rank_correlation(
    first: Numbers, second: Numbers, draws: tuple[Numbers, Numbers], rng: np.random.Generator
) -> RankCorrelation:
    """Correlate two scores of the same models.

    Args:
        first, second: Scores (models,); models with a NaN in either are left out.
        draws: The same (resamples, models) for bootstrap samples of the images.
        rng: For resampling models and for the permutation test.
    """
    known = np.isfinite(first) & np.isfinite(second)
    models = int(known.sum())
    a, b = first[known], second[known]
    if models < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return RankCorrelation(nan, nan, nan, nan, nan, models)
    from scipy.stats import kendalltau

    rho = _spearman(a, b)
    count = min(len(draws[0]), len(draws[1]))
    boot = []
    for sample_a, sample_b in zip(draws[0][:count, known], draws[1][:count, known], strict=True):
        chosen = rng.integers(models, size=models)
        boot.append(_spearman(sample_a[chosen], sample_b[chosen]))
    finite = np.array(boot)[np.isfinite(boot)]
    low, high = interval(finite) if finite.size else (nan, nan)
    permuted = np.array([_spearman(a, rng.permutation(b)) for _ in range(RESAMPLES)])
    p_value = (1 + int((np.abs(permuted) >= abs(rho) - 1e-12).sum())) / (RESAMPLES + 1)
    return RankCorrelation(rho, float(kendalltau(a, b).statistic), float(low), float(high), p_value, models)


def _spearman(a: Numbers, b: Numbers) -> float:
    ranks_a, ranks_b = average_ranks(a), average_ranks(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return nan
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def shares_of_variance(parts: Numbers) -> Numbers:
    """How much of the variance between models each part explains; the shares add up to 1.

    The mean of the parts is what models differ in; a part's share is its covariance with that mean over the variance of
    the mean, divided by the number of parts. A negative share works against the order of the others.

    Args:
        parts: (parts, models), for example the mean loss of score of each model under each corruption.

    >>> shares_of_variance(np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])).tolist()
    [1.0, 0.0]
    """
    whole = parts.mean(axis=0)
    centred = whole - whole.mean()
    variance = float((centred**2).mean())
    if variance == 0:
        return np.full(len(parts), nan)
    covariance = ((parts - parts.mean(axis=1, keepdims=True)) * centred).mean(axis=1)
    shares: Numbers = covariance / variance / len(parts)
    return shares
