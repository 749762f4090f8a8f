"""What an assay says of its models: absolute scores, ratios beside them, summaries over severities, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import CLEAN, Condition
from anyscope.assay.statistics import (
    RankCorrelation,
    interval,
    rank_correlation,
    ranks_with_ties,
    resamples,
    shares_of_variance,
)
from anyscope.assay.tally import Tally
from anyscope.seeding import generator

Numbers = NDArray[np.float64]
UNDERTRAINED = 0.05
"""A model whose clean score is further below the best is marked and not ranked: bad models look robust by ratios."""
LARGE = 32.0
"""A size of perturbation in grey levels of 255 at which any network ought to fail."""


@dataclass(frozen=True, eq=False)
class AssayScores:
    """Scores of the models of an assay, by one measure.

    Args:
        tally: The counts under the conditions that were applied to the main data.
        shifts: The counts on other data, by name.
        reference: Model that CD, rCD and mCE are relative to.
        seed: Seed of the bootstrap.
    """

    tally: Tally
    shifts: dict[str, Tally]
    reference: str
    seed: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return self.tally.models

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that were applied."""
        return self.tally.conditions

    @cached_property
    def pooled(self) -> Numbers:
        """Scores (models, conditions) of the counts of all images."""
        return self.tally.pooled()

    @cached_property
    def draws(self) -> Numbers:
        """The same (resamples, models, conditions) for bootstrap samples of the images."""
        samples = resamples(len(self.tally.images), generator(self.seed, "assay", "bootstrap"))
        return self.tally.drawn(samples)

    @cached_property
    def intervals(self) -> tuple[Numbers, Numbers]:
        """95 % intervals (models, conditions) of the pooled scores."""
        return interval(self.draws)

    @cached_property
    def per_image_mean(self) -> Numbers:
        """Means (models, conditions) of the scores of the images where they are defined."""
        values = self.tally.per_image()
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean: Numbers = np.where(known, values, 0).sum(axis=2) / known.sum(axis=2)
        return mean

    @property
    def clean(self) -> Numbers:
        """Scores (models,) of the images as they are."""
        return self.of(CLEAN)

    def of(self, condition: Condition) -> Numbers:
        """Scores (models,) under one condition."""
        column: Numbers = self.pooled[:, self.conditions.index(condition)]
        return column

    @cached_property
    def ratio(self) -> Numbers:
        """Scores over the clean ones (models, conditions): how much is left. Absolute scores must stand beside it."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: Numbers = self.pooled / self.clean[:, None]
        return ratio

    @cached_property
    def series(self) -> dict[str, tuple[Condition, ...]]:
        """The conditions of every corruption and attack, by increasing level."""
        found: dict[str, list[Condition]] = {}
        for condition in self.conditions:
            if condition.kind != "clean":
                found.setdefault(condition.series, []).append(condition)
        return {name: tuple(sorted(group, key=lambda c: c.level)) for name, group in found.items()}

    def names(self, *kinds: str) -> list[str]:
        """Series of those kinds or families: ``corruption``, ``attack`` (without the control), ``fluorescence`` ..."""
        return [
            name
            for name, group in self.series.items()
            if group[0].family in kinds or (group[0].kind == "corruption" and "corruption" in kinds)
        ]

    def mean_over(self, names: Sequence[str], values: Numbers | None = None) -> Numbers:
        """Mean (..., models) over series of the mean over their levels; NaN without any.

        Args:
            names: Series.
            values: (..., models, conditions); the pooled scores where None.
        """
        values = self.pooled if values is None else values
        if not names:
            return np.full(values.shape[:-1], np.nan)
        means = [values[..., self._places(name)].mean(axis=-1) for name in names]
        mean: Numbers = np.mean(means, axis=0)
        return mean

    def _places(self, name: str) -> list[int]:
        return [self.conditions.index(condition) for condition in self.series[name]]

    @cached_property
    def corrupted(self) -> Numbers:
        """Mean corrupted score (models,): over corruptions, of the mean over severities. What models are ranked by."""
        return self.mean_over(self.names("corruption"))

    @cached_property
    def attacked(self) -> Numbers:
        """Mean score (models,) under attack: over attacks, of the mean over epsilons."""
        return self.mean_over(self.names("attack"))

    @cached_property
    def worst(self) -> tuple[Numbers, list[Condition | None]]:
        """The lowest score (models,) under any corruption, and under which."""
        places = [n for n, condition in enumerate(self.conditions) if condition.kind == "corruption"]
        if not places:
            return np.full(len(self.models), np.nan), [None] * len(self.models)
        values = self.pooled[:, places]
        low = np.where(np.isnan(values), np.inf, values).argmin(axis=1)
        lowest: Numbers = values[np.arange(len(self.models)), low]
        return lowest, [self.conditions[places[n]] for n in low]

    def area(self, name: str) -> Numbers:
        """Area (models,) under the curve of score over level, the clean score at level 0, relative to the level's
        range: the mean score over all strengths up to the largest."""
        levels = np.array([0.0] + [condition.level for condition in self.series[name]])
        values = np.column_stack([self.clean, self.pooled[:, self._places(name)]])
        area: Numbers = np.trapezoid(values, levels, axis=1) / (levels[-1] - levels[0])
        return area

    def corruption_degradation(self, name: str) -> Numbers:
        """CD (models,): sum over severities of 1 - score, over the same of the reference model.

        Source: Kamann and Rother, CVPR 2020, arXiv 1908.05005, section 4.
        """
        lost = (1 - self.pooled[:, self._places(name)]).sum(axis=1)
        return _over(lost, lost[self.models.index(self.reference)])

    def relative_degradation(self, name: str) -> Numbers:
        """rCD (models,): the same of what is lost against the clean score. Source: as for CD."""
        lost = (self.clean[:, None] - self.pooled[:, self._places(name)]).sum(axis=1)
        return _over(lost, lost[self.models.index(self.reference)])

    @cached_property
    def mean_degradation(self) -> Numbers:
        """Mean of CD over corruptions (models,), as mCE is of corruption errors (Hendrycks, Dietterich, ICLR 2019)."""
        names = self.names("corruption")
        if not names:
            return np.full(len(self.models), np.nan)
        mean: Numbers = np.mean([self.corruption_degradation(name) for name in names], axis=0)
        return mean

    @cached_property
    def eligible(self) -> NDArray[np.bool_]:
        """Which models are ranked: those with all cells and a clean score close enough to the best one."""
        clean = np.where(self.tally.complete(), self.clean, np.nan)
        with np.errstate(invalid="ignore"):
            near: NDArray[np.bool_] = clean >= np.nanmax(clean, initial=-np.inf) - UNDERTRAINED
        return near

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Rank (models,) by mean corrupted score with ties, 0 for models that are not ranked."""
        return self._rank(self.names("corruption"))

    @cached_property
    def attack_ranks(self) -> NDArray[np.int64]:
        """The same by mean score under attack, 0 also for models that no attack could break: :attr:`unbroken`."""
        return self._rank(self.names("attack"), ~self.unbroken)

    def _rank(self, names: Sequence[str], trusted: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        chosen = self.eligible if trusted is None else self.eligible & trusted
        values = np.where(chosen, self.mean_over(names), np.nan)
        return ranks_with_ties(values, self.mean_over(names, self.draws))

    @cached_property
    def unbroken(self) -> NDArray[np.bool_]:
        """Which models (m,) keep more than half of their clean score under every attack of :data:`LARGE` grey levels.

        So much change ought to break any network: the gradient of such a model probably does not tell what matters (it
        is masked), and its scores under attack say nothing of its robustness.
        """
        large = [
            number
            for number, condition in enumerate(self.conditions)
            if condition.family == "attack" and condition.norm == "linf" and condition.level >= LARGE
        ]
        if not large:
            return np.zeros(len(self.models), bool)
        with np.errstate(invalid="ignore"):
            kept: NDArray[np.bool_] = self.pooled[:, large].min(axis=1) > 0.5 * self.clean
        return kept

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of each corruption in the variance of the mean corrupted score between ranked models."""
        names = self.names("corruption")
        if not names or self.eligible.sum() < 2:
            return {}
        parts = np.stack([self.mean_over([name])[self.eligible] for name in names])
        return dict(zip(names, shares_of_variance(parts).tolist(), strict=True))

    @cached_property
    def shares_of_families(self) -> dict[str, float]:
        """The same summed over the corruptions of a family."""
        sums: dict[str, float] = {}
        for name, share in self.shares.items():
            family = self.series[name][0].family
            sums[family] = sums.get(family, 0.0) + share
        return sums

    @cached_property
    def shifted(self) -> Numbers:
        """Mean score (models,) on other data; NaN without any."""
        if not self.shifts:
            return np.full(len(self.models), np.nan)
        mean: Numbers = np.mean([one.pooled()[:, 0] for one in self.shifts.values()], axis=0)
        return mean

    @cached_property
    def corruption_and_attack(self) -> RankCorrelation | None:
        """Do models that keep their score under corruptions keep it under attack? None where either was not tried."""
        corruptions, attacks = self.names("corruption"), self.names("attack")
        if not corruptions or not attacks:
            return None
        drawn = self.mean_over(corruptions, self.draws), self.mean_over(attacks, self.draws)
        attacked = np.where(self.unbroken, np.nan, self.attacked)
        return self._correlate(self.corrupted, attacked, drawn, "attack")

    @cached_property
    def synthetic_and_real(self) -> RankCorrelation | None:
        """Do models that keep their score under simulated corruptions keep it on other data? None where either was not
        tried."""
        corruptions = self.names("corruption")
        if not corruptions or not self.shifts:
            return None
        drawn = []
        for name, one in self.shifts.items():
            samples = resamples(len(one.images), generator(self.seed, "assay", "bootstrap", name))
            drawn.append(one.drawn(samples)[:, :, 0])
        draws = self.mean_over(corruptions, self.draws), np.mean(drawn, axis=0)
        return self._correlate(self.corrupted, self.shifted, draws, "shift")

    def _correlate(
        self, first: Numbers, second: Numbers, drawn: tuple[Numbers, Numbers], stream: str
    ) -> RankCorrelation:
        """Correlate what is left of the clean score in two ways, over the ranked models."""
        place = self.conditions.index(CLEAN)
        clean = np.where(self.eligible, self.clean, np.nan)
        clean_drawn = self.draws[:, :, place]
        with np.errstate(invalid="ignore", divide="ignore"):
            left = first / clean, second / clean
            left_drawn = drawn[0] / clean_drawn, drawn[1] / clean_drawn
        return rank_correlation(*left, left_drawn, generator(self.seed, "assay", "correlation", stream))


def _over(values: Numbers, reference: float) -> Numbers:
    return values / reference if reference != 0 else np.full(values.shape, np.nan)
