"""What a crossing says in words, each sentence with the numbers behind it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from anyscope.crossings.plan import CEILING, FLOOR
from anyscope.crossings.summary import FLOOR_RULE, SMALL_GAP, PairScore, Recovery, Summary

HARM = 0.02
"""A loss on a pair beyond this is called harm; seeds alone move scores by about as much."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class Crossed:
    """The numbers of a crossing by what they are.

    Args:
        summary: With the training on the target's own labels among its methods, where it is done.
        methods: Methods, the floor first.
        data: Names of the datasets.
        rule: The selection rule that methods were to be used with.
        rules: All selection rules, without the oracle.
        gains: Gain over the floor by source, target, method and measure, between trainings of the same seed.
    """

    summary: Summary
    methods: tuple[str, ...]
    data: tuple[str, ...]
    rule: str
    rules: tuple[str, ...]
    gains: Mapping[tuple[str, str, str, str], float] = field(default_factory=dict)

    def score(self, pair: Pair, method: str, measure: str = "pooled", rule: str | None = None) -> PairScore | None:
        """A score, by the default rule where none is given; None where it is not there."""
        wanted = (*pair, method, rule or self.rule, measure)
        return self._scores.get(wanted)

    @cached_property
    def _scores(self) -> Mapping[tuple[str, ...], PairScore]:
        return {(one.source, one.target, one.method, one.rule, one.measure): one for one in self.summary.scores}

    def recovery(self, method: str, measure: str = "pooled", rule: str | None = None) -> Recovery | None:
        """What a method recovered; None where nothing can be said."""
        wanted = (method, measure, rule or self.rule)
        found = (one for one in self.summary.recoveries if (one.method, one.measure, one.rule) == wanted)
        return next(found, None)

    @property
    def adapting(self) -> tuple[str, ...]:
        """The methods that adapt: all but the floor."""
        return tuple(method for method in self.methods if method != FLOOR)

    @property
    def ranked(self) -> tuple[str, ...]:
        """Methods that adapt and of which something is known, those that recover most first."""
        found = {method: self.recovery(method) for method in self.adapting}
        known = {
            method: one.recovered for method, one in found.items() if one is not None and one.recovered is not None
        }
        return tuple(sorted(known, key=lambda method: -known[method]))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs of which a score is known, in the order of the datasets."""
        known = {(one.source, one.target) for one in self.summary.scores if one.method != CEILING}
        return tuple((a, b) for a in self.data for b in self.data if (a, b) in known)

    def floor(self, pair: Pair, measure: str = "pooled") -> PairScore | None:
        """The score without adaptation, chosen on source validation."""
        return self.score(pair, FLOOR, measure, FLOOR_RULE)

    def ceiling(self, target: str, measure: str = "pooled") -> PairScore | None:
        """The score of training on the target's own labels, chosen on its own validation."""
        return self.score((target, target), CEILING, measure, FLOOR_RULE)

    def gap(self, pair: Pair, measure: str = "pooled") -> float | None:
        """Ceiling minus floor."""
        low, high = self.floor(pair, measure), self.ceiling(pair[1], measure)
        return None if low is None or high is None else high.mean - low.mean

    def gain(self, pair: Pair, method: str, measure: str = "pooled") -> float | None:
        """What a method adds to the floor, mean over the seeds that both have; None where there is none."""
        return self.gains.get((*pair, method, measure))

    def harmed(self, method: str, measure: str = "pooled") -> list[tuple[Pair, float]]:
        """Pairs that a method makes worse by more than :data:`HARM`, the worst first."""
        gains = [(pair, self.gain(pair, method, measure)) for pair in self.pairs]
        losses = [(pair, gain) for pair, gain in gains if gain is not None and gain < -HARM]
        return sorted(losses, key=lambda each: each[1])

    def regret(self, rule: str, measure: str = "pooled") -> float | None:
        """Mean over the methods of what a rule loses to the best candidate; None where nothing is known."""
        found = [self.recovery(method, measure, rule) for method in self.methods]
        known = [one.regret for one in found if one is not None]
        return statistics.fmean(known) if known else None


def arrow(pair: Pair | str) -> str:
    """A pair in words."""
    source, target = pair.split(" -> ") if isinstance(pair, str) else pair
    return f"{source} to {target}"


def headline(crossed: Crossed) -> str:
    """Which method recovers most, in one sentence."""
    ranked = crossed.ranked
    if not ranked:
        return f"No method can be recommended: {_why_not(crossed)}."
    best = crossed.recovery(ranked[0])
    assert best is not None  # ranked are those with a recovery
    assert best.recovered is not None
    if best.recovered <= 0:
        return f"No method recovers anything of the gap between domains; {ranked[0]} does least harm."
    harmed = crossed.harmed(ranked[0])
    count = f"{best.pairs} pair{'' if best.pairs == 1 else 's'}"
    text = f"{ranked[0]} recovers most: {best.recovered:.0%} of the gap over {count}"
    return f"{text}, and makes no pair worse by more than {HARM}." if not harmed else f"{text}, but {_harm(harmed)}."


def _why_not(crossed: Crossed) -> str:
    if not crossed.adapting:
        return "none but the floor was carried out"
    known = [crossed.recovery(method) for method in crossed.adapting]
    if any(one is not None for one in known):
        return (
            f"no pair has a gap of {SMALL_GAP} or more between floor and ceiling, so that there is nothing to recover"
        )
    return "no pair has scores of a method, of the floor and of the ceiling"


def _harm(harmed: Sequence[tuple[Pair, float]]) -> str:
    (pair, loss), *others = harmed
    more = f" and {len(others)} more" if others else ""
    return f"makes {arrow(pair)} worse by {-loss:.3f}{more}"


def findings(crossed: Crossed) -> tuple[str, ...]:
    """Sentences on the methods, on harm, on the two measures, and on selection."""
    sentences = [*_methods(crossed), *_harms(crossed), *_measures(crossed), *_selection(crossed), *_small(crossed)]
    return tuple(sentences)


def _methods(crossed: Crossed) -> list[str]:
    listed = []
    for method in crossed.ranked:
        one = crossed.recovery(method)
        assert one is not None
        assert one.recovered is not None
        listed.append(f"{method} {one.recovered:.0%}")
    if not listed:
        return []
    text = f"Recovered of the gap between no adaptation and training on the target's labels: {', '.join(listed)}"
    return [f"{text} (pooled, selection {crossed.rule})."]


def _harms(crossed: Crossed) -> list[str]:
    known = [method for method in crossed.adapting if crossed.recovery(method) is not None]
    if not known:
        return []
    harmful = {method: found for method in known if (found := crossed.harmed(method))}
    if not harmful:
        return [f"No method makes any pair worse by more than {HARM}."]
    parts = [f"{method} {_harm(found)}" for method, found in harmful.items()]
    safe = [method for method in known if method not in harmful]
    others = f" {', '.join(safe)}: none." if safe else ""
    return [f"Worse by more than {HARM} than without adaptation: {'; '.join(parts)}.{others}"]


def _measures(crossed: Crossed) -> list[str]:
    """Whether the mean over slices tells another story than all pixels together."""
    turned = []
    for method in crossed.adapting:
        pooled, sliced = crossed.recovery(method), crossed.recovery(method, "per_slice")
        if pooled is None or sliced is None or pooled.recovered is None or sliced.recovered is None:
            continue
        if abs(pooled.recovered - sliced.recovered) > 0.1:
            turned.append(f"{method} {pooled.recovered:.0%} pooled and {sliced.recovered:.0%} per slice")
    return [f"The two ways of counting differ for {'; '.join(turned)}."] if turned else []


def _selection(crossed: Crossed) -> list[str]:
    regrets = {rule: value for rule in crossed.rules if (value := crossed.regret(rule)) is not None}
    if len(regrets) < 2:
        return []
    order = sorted(regrets, key=lambda rule: regrets[rule])
    text = (
        f"Of the selection rules {order[0]} loses least to the best candidate ({regrets[order[0]]:.3f} on average over "
        f"all methods), {order[-1]} most ({regrets[order[-1]]:.3f})"
    )
    if crossed.rule in regrets and crossed.rule not in (order[0], order[-1]):
        text += f"; the default, {crossed.rule}, {regrets[crossed.rule]:.3f}"
    return [f"{text}."]


def _small(crossed: Crossed) -> list[str]:
    small = [arrow(pair) for pair in crossed.pairs if (gap := crossed.gap(pair)) is not None and gap < SMALL_GAP]
    if not small:
        return []
    return [f"Left out of the recovered gap, since it is under {SMALL_GAP}: {', '.join(small)}."]
