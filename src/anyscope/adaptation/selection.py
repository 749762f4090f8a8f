"""Rules that say which candidate of a training to take without a label of the target: pure functions of judgements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from anyscope.adaptation.candidates import Choice, Judgement, choose, collapse
from anyscope.adaptation.priors import Combined
from anyscope.adaptation.traits import Traits
from anyscope.errors import BadInput
from anyscope.registry import Registry

__all__ = ["RULES", "Choice", "Judgement", "Rule", "collapse", "regret"]

Rule = Callable[[Sequence[Judgement], Traits], Choice]
"""(candidates in the order of their epochs, traits of the source's training labels) to the chosen one."""

RULES: Registry[Rule] = Registry("selection rule")


@RULES.register("source-validation")
def by_source_validation(judgements: Sequence[Judgement], reference: Traits) -> Choice:
    """The best on source validation images: common practice, blind to the target except for collapse."""
    scores = [each.source_score for each in judgements]
    return choose("source-validation", judgements, reference, scores, "higher")


@RULES.register("last")
def by_age(judgements: Sequence[Judgement], reference: Traits) -> Choice:
    """The last one: no selection at all, except for collapse."""
    return choose("last", judgements, reference, [float(each.epoch) for each in judgements], "higher")


@RULES.register("solidity")
def by_solidity(judgements: Sequence[Judgement], reference: Traits) -> Choice:
    """The published rule, |S_target - S_source| least, with objects labelled in 3D (CMPB 222:106949, 2022)."""
    scores = [_difference(each.target.solidity, reference.solidity) for each in judgements]
    return choose("solidity", judgements, reference, scores, "lower")


@RULES.register("solidity-per-slice")
def by_solidity_per_slice(judgements: Sequence[Judgement], reference: Traits) -> Choice:
    """The published rule with objects labelled within each slice, which is the same for stacks and single sections."""
    scores = [_difference(each.target.solidity_per_slice, reference.solidity_per_slice) for each in judgements]
    return choose("solidity-per-slice", judgements, reference, scores, "lower")


@RULES.register("area-ratio")
def by_area_ratio(judgements: Sequence[Judgement], reference: Traits) -> Choice:
    """|R_target - R_source| least, R the mean share of its plane that an object takes: an earlier variant.

    R depends on how much of the specimen a plane shows. Both are therefore taken for planes as large as the source's;
    where all planes are of one size that changes nothing.
    """
    scores = [_difference(_for_planes_of(each.target, reference.plane_px), reference.area_ratio) for each in judgements]
    return choose("area-ratio", judgements, reference, scores, "lower")


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)


def _for_planes_of(traits: Traits, plane_px: float) -> float | None:
    if traits.area_ratio is None or not plane_px:
        return None
    return traits.area_ratio * traits.plane_px / plane_px


RULES.add(Combined.name, Combined())


def regret(scores: Sequence[float | None], choice: Choice) -> float:
    """By how much the chosen candidate is worse than the best one, at least 0.

    Args:
        scores: Scores of the candidates on labelled target images, larger is better; None or NaN where undefined, which
            counts as 0.
        choice: What a rule chose among them.

    Raises:
        BadInput: Not one score for each candidate.
    """
    if len(scores) != len(choice.scores):
        raise BadInput("regret", f"{len(scores)} scores", f"one for each of {len(choice.scores)} candidates")
    values = [0.0 if score is None or math.isnan(score) else float(score) for score in scores]
    return max(values) - values[choice.index]
