"""What robust training gained, and what it cost: runs of the same network with and without it, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import CLEAN
from anyscope.assay.plan import AssayPlan, SubjectRef
from anyscope.assay.scores import AssayScores
from anyscope.assay.statistics import interval
from anyscope.corruptions.mechanisms import mechanism_of
from anyscope.seeding import generator

Numbers = NDArray[np.float64]
Summary = Callable[[Numbers], Numbers]
"""Scores (..., models) under some conditions, from scores (..., models, conditions)."""


@dataclass(frozen=True)
class Gain:
    """The difference between robust and standard training under some conditions.

    Args:
        network: The network, its data and its budget of steps, in words.
        robust: Name of the robust training.
        under: The conditions in words.
        conditions: Number of conditions.
        runs: Number of runs without and with it.
        standard, hardened: Mean scores of the runs.
        low, high: 95 % interval of the difference, over images and runs drawn anew.
    """

    network: str
    robust: str
    under: str
    conditions: int
    runs: tuple[int, int]
    standard: float
    hardened: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """What is gained; lost where it is below 0."""
        return self.hardened - self.standard

    @property
    def tells(self) -> bool:
        """Whether it is more than chance."""
        return self.low > 0 or self.high < 0


def robust_gains(plan: AssayPlan, scores: AssayScores) -> tuple[Gain, ...]:
    """Gains of every robust training whose network was also trained without it on the same data for as many steps.

    Scores are compared in bootstrap samples of images and of runs, the same images for both; where both have as many
    runs, the same runs, in their order, are drawn for both.
    """
    complete = dict(zip(scores.models, scores.tally.complete(), strict=True))
    groups: dict[tuple[str, str], list[SubjectRef]] = {}
    for ref in plan.subjects:
        if ref.network and complete.get(ref.name):
            groups.setdefault((ref.network, ref.robust), []).append(ref)
    found = []
    for (network, robust), refs in groups.items():
        standard = groups.get((network, ""), [])
        if robust and standard:
            for under, (count, summary) in _summaries(scores, refs[0]).items():
                values = _compare(scores, standard, refs, summary)
                runs = (len(standard), len(refs))
                found.append(Gain(network, robust.partition(" ")[0], under, count, runs, *values))
    return tuple(found)


def _summaries(scores: AssayScores, ref: SubjectRef) -> Mapping[str, tuple[int, Summary]]:
    """What is compared, by its words, with the number of conditions."""
    place = scores.conditions.index(CLEAN)
    found: dict[str, tuple[int, Summary]] = {"clean": (1, lambda values: values[..., place])}
    kinds: dict[str, list[str]] = {"corruptions that were drawn": [], "others of their kind": [], "held-out kinds": []}
    for name in scores.names("corruption"):
        if name in ref.seen:
            kinds["corruptions that were drawn"].append(name)
        elif mechanism_of(name) in ref.held_out:
            kinds["held-out kinds"].append(name)
        else:
            kinds["others of their kind"].append(name)
    for words, names in kinds.items():
        if names:
            count = sum(len(scores.series[name]) for name in names)
            listed = f"{words} ({', '.join(dict.fromkeys(mechanism_of(name) for name in names))})"
            found[listed] = (count, lambda values, names=names: scores.mean_over(names, values))  # type: ignore[misc]
    for level in sorted({c.level for c in scores.conditions if c.family == "attack" and c.norm == "linf"}):
        places = [
            number
            for number, c in enumerate(scores.conditions)
            if (c.family, c.norm, c.level) == ("attack", "linf", level)
        ]
        words = f"strongest attack by gradient, {level:g}/255"
        found[words] = (len(places), lambda values, places=places: values[..., places].min(axis=-1))  # type: ignore[misc]
    return found


def _compare(
    scores: AssayScores, standard: list[SubjectRef], hardened: list[SubjectRef], summary: Summary
) -> tuple[float, float, float, float]:
    """Both mean scores, and the interval of their difference."""
    groups = [[scores.models.index(ref.name) for ref in refs] for refs in (standard, hardened)]
    means = [float(summary(scores.pooled)[group].mean()) for group in groups]
    drawn = summary(scores.draws)
    random = generator(scores.seed, "assay", "gains")
    chosen = [random.integers(len(group), size=(len(drawn), len(group))) for group in groups]
    if len(groups[0]) == len(groups[1]):
        chosen[1] = chosen[0]
    picked = [
        np.take_along_axis(drawn[:, group], index, axis=1).mean(axis=1)
        for group, index in zip(groups, chosen, strict=True)
    ]
    low, high = interval(picked[1] - picked[0])
    return means[0], means[1], float(low), float(high)
