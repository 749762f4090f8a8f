"""The combined rule: several priors of how a good prediction of the target looks, each in units that mean something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from anyscope.adaptation.candidates import Choice, Judgement, choose
from anyscope.adaptation.traits import Traits

_ROUGHNESS_FLOOR = 0.01
"""Added to 1 - solidity before logarithms are taken: the rest that pixels leave of a perfect disc."""


@dataclass(frozen=True)
class Prior:
    """One term of the combined rule.

    Args:
        spread: Deviation that is nothing unusual between good predictions, in the unit of the deviation.
        weight: Share in the sum.
        meaning: What deviates from what, in words.
    """

    spread: float
    weight: float
    meaning: str


PRIORS: Mapping[str, Prior] = {
    "solidity": Prior(0.35, 1.0, "log ratio of 1 - solidity (per slice) to that of source labels"),
    "area": Prior(1.4, 0.5, "log ratio of the median object area to that of source labels"),
    "count": Prior(1.4, 0.5, "log ratio of objects per area to that of source labels"),
    "foreground": Prior(0.6, 1.0, "log ratio of the share of foreground to that of source labels"),
    "entropy": Prior(0.7, 0.5, "log ratio of entropy per foreground to the candidate's own on source images, above 0"),
    "agreement": Prior(0.2, 0.5, "-log IoU with the prediction of the teacher or of the candidate before"),
    "stability": Prior(0.2, 1.0, "-log IoU with predictions of the same images flipped, scaled and noisier"),
    "source": Prior(0.05, 1.0, "in training on labels: log ratio of the best score on source validation to its own"),
}
"""Spreads of the first four: standard deviations between the eight acquisitions of the nuclei of DSB2018, of the traits
of their reference labels (0.33, 1.44, 1.43, 0.60; 0.38, 1.41, 1.32, 0.60 as masks), that is, how far apart good labels
of one kind of object are found under different microscopes. Entropy: a factor of two. Agreement and stability: an IoU
of .82. Source: a twentieth of the score, among candidates of a training on labels: a network that has not yet learned
its own images is not to win because its prediction happens to look right (docs/results.md). Those of a refinement may
lose the source while they gain the target, and are not asked. Weights: 1, and half for those that share what they
measure: area times count is nearly foreground; entropy and agreement say what stability says. No label of a
mitochondria dataset went into spreads and weights; that refinements are not asked was decided after scores on some.
"""


@dataclass(frozen=True)
class Combined:
    """The least weighted mean of log(1 + (deviation / spread)^2) over the priors.

    Deviations are logarithms of ratios, so that half and double weigh the same. The logarithm around their squares
    (that of a Cauchy distribution) lets a trait in which the two domains truly differ say little, rather than overrule
    the others. A term that is unknown for a candidate takes the median over the others, so that it neither helps nor
    hurts; one that is unknown for all is left out.

    Args:
        priors: The terms.
    """

    name: ClassVar[str] = "combined"
    priors: tuple[tuple[str, Prior], ...] = tuple(PRIORS.items())

    def __call__(self, judgements: Sequence[Judgement], reference: Traits) -> Choice:
        """Choose; see :data:`anyscope.adaptation.selection.Rule`."""
        best = _best_on_source(judgements)
        found = [deviations(each, reference, best) for each in judgements]
        terms: list[dict[str, float]] = [{} for _ in judgements]
        total = 0.0
        for name, prior in self.priors:
            known = [value for each in found if (value := each[name]) is not None]
            if not known:
                continue
            usual = median(known)
            total += prior.weight
            for each, term in zip(found, terms, strict=True):
                value = each[name]
                ratio = (usual if value is None else value) / prior.spread
                term[name] = prior.weight * math.log1p(ratio * ratio)
        scores = [sum(term.values()) / total if total else None for term in terms]
        return choose(self.name, judgements, reference, scores, "lower", terms)


def _best_on_source(judgements: Sequence[Judgement]) -> float | None:
    """The best score on source validation; None for a refinement, which may leave the source behind."""
    if any(each.epoch == 0 for each in judgements):
        return None
    return max((each.source_score for each in judgements if each.source_score is not None), default=None)


def deviations(judgement: Judgement, reference: Traits, best: float | None) -> dict[str, float | None]:
    """How far a candidate is from each prior, at least 0; None where that is unknown.

    Args:
        judgement: The candidate.
        reference: Traits of the source's training labels.
        best: The best score of all candidates on source validation, in 0..1; None where it says nothing.
    """
    target, source = judgement.target, judgement.source
    unsure, own = _entropy_per_foreground(target), None if source is None else _entropy_per_foreground(source)
    entropy = _log_ratio(unsure, own)
    return {
        "solidity": _distance(_roughness(target), _roughness(reference)),
        "area": _distance(target.median_area_px, reference.median_area_px),
        "count": _distance(target.objects_per_megapixel, reference.objects_per_megapixel),
        "foreground": _distance(target.foreground_fraction, reference.foreground_fraction),
        "entropy": None if entropy is None else max(0.0, entropy),
        "agreement": _distance(judgement.agreement, 1.0),
        "stability": _distance(judgement.stability, 1.0),
        "source": _distance(judgement.source_score, best),
    }


def _roughness(traits: Traits) -> float | None:
    # Per slice: the published variant differs between stacks and single sections of the same objects.
    solidity = traits.solidity_per_slice
    return None if solidity is None else 1 - solidity + _ROUGHNESS_FLOOR


def _entropy_per_foreground(traits: Traits) -> float | None:
    if traits.entropy_bits is None or not traits.foreground_fraction:
        return None
    return traits.entropy_bits / traits.foreground_fraction


def _log_ratio(one: float | None, other: float | None) -> float | None:
    """The log ratio of two amounts; infinitely far ones are as far as a factor of a million."""
    if one is None or other is None:
        return None
    tiny = 1e-6 * max(one, other)
    return math.log(max(one, tiny) / max(other, tiny)) if tiny else 0.0


def _distance(one: float | None, other: float | None) -> float | None:
    ratio = _log_ratio(one, other)
    return None if ratio is None else abs(ratio)
