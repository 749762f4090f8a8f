"""The recommendation in words, each sentence with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anyscope.assay.masking import masked_models
from anyscope.assay.plan import BASELINE
from anyscope.assay.scores import LARGE, UNDERTRAINED, AssayScores
from anyscope.assay.tally import NAMES


@dataclass(frozen=True)
class Findings:
    """What an assay found.

    Args:
        trusted: The models that nothing beats beyond chance; empty where none can be recommended.
        recommendation: One sentence.
        remarks: Further sentences.
    """

    trusted: tuple[str, ...]
    recommendation: str
    remarks: tuple[str, ...]


def find(scores: AssayScores) -> Findings:
    """Put the scores of an assay into words."""
    return Findings(_trusted(scores), _recommendation(scores), tuple(_remarks(scores)))


def _order(scores: AssayScores) -> list[int]:
    """Ranked models, the best first."""
    by = scores.corrupted if scores.names("corruption") else scores.clean
    return sorted(np.flatnonzero(scores.eligible & np.isfinite(by)), key=lambda model: -by[model])


def _trusted(scores: AssayScores) -> tuple[str, ...]:
    order = _order(scores)
    if not scores.names("corruption"):
        return tuple(scores.models[model] for model in order[:1])
    return tuple(scores.models[model] for model in order if scores.ranks[model] == 1)


def _recommendation(scores: AssayScores) -> str:
    order = _order(scores)
    name = NAMES[scores.tally.measure]
    if not order:
        return "No model has all its scores: none can be recommended."
    best = order[0]
    clean = f"{scores.clean[best]:.3f} on clean images"
    if not scores.names("corruption"):
        return f"{scores.models[best]} has the best {name}: {clean}. Nothing is known of its robustness."
    low, condition = scores.worst[0][best], scores.worst[1][best]
    worst = "" if condition is None else f", {low:.3f} at worst ({condition.key})"
    text = (
        f"Trust {scores.models[best]}: {name} {scores.corrupted[best]:.3f} on average over the corruptions "
        f"({clean}{worst}; n = {len(scores.tally.images)} images)."
    )
    equals = [other for other in _trusted(scores) if other != scores.models[best]]
    if equals:
        text += f" Not distinguishable from it on these images: {', '.join(equals)}."
    return text


def _remarks(scores: AssayScores) -> list[str]:
    remarks = [*_baseline(scores), *_clean_is_not_robust(scores), *_weakest(scores), *_shares(scores)]
    if scores.corruption_and_attack is not None:
        text = scores.corruption_and_attack.describe()
        remarks.append(f"Robustness to corruptions and to attacks, as what is left of the clean score: {text}.")
    remarks += _masked(scores)
    masked = [model for model, kept in zip(scores.models, scores.unbroken, strict=True) if kept]
    if masked:
        remarks.append(
            f"No attack broke {', '.join(masked)} even at {LARGE:g}/255: their gradients may be masked, which is no"
            " robustness, or objects stand out by more. They have no rank under attack and are not in its correlation."
        )
    if scores.synthetic_and_real is not None:
        images = sum(len(one.images) for one in scores.shifts.values())
        text = scores.synthetic_and_real.describe()
        remarks.append(f"Simulated corruptions and other real data ({images} images): {text}.")
    remarks += _not_ranked(scores)
    return remarks


def _masked(scores: AssayScores) -> list[str]:
    """The models whose gradient hides what matters, with the clearest number each."""
    return [
        f"The gradient of {model} is probably masked, and its scores under attacks by gradient say little. {signs[0]}"
        for model, signs in masked_models(scores).items()
    ]


def _baseline(scores: AssayScores) -> list[str]:
    if BASELINE not in scores.models or not scores.names("corruption"):
        return []
    own = scores.corrupted[scores.models.index(BASELINE)]
    beaten = [
        model
        for model, value in zip(scores.models, scores.corrupted, strict=True)
        if model != BASELINE and np.isfinite(value) and value <= own
    ]
    if not np.isfinite(own):
        return []
    if beaten:
        return [
            f"The classical baseline (Otsu) keeps {own:.3f} on average: as much as or more than {', '.join(beaten)}."
        ]
    return [f"Every network is better under corruption than the classical baseline (Otsu, {own:.3f} on average)."]


def _clean_is_not_robust(scores: AssayScores) -> list[str]:
    order = _order(scores)
    if len(order) < 2 or not scores.names("corruption"):
        return []
    best_clean = max(order, key=lambda model: scores.clean[model])
    if best_clean == order[0]:
        return []
    return [
        f"The best on clean images, {scores.models[best_clean]} ({scores.clean[best_clean]:.3f}), has rank "
        f"{scores.ranks[best_clean]} under corruption ({scores.corrupted[best_clean]:.3f})."
    ]


def _weakest(scores: AssayScores) -> list[str]:
    names = scores.names("corruption")
    order = _order(scores)
    if not names or not order:
        return []
    left = {name: float(np.mean([scores.mean_over([name])[model] for model in order])) for name in names}
    hardest = sorted(left, key=lambda name: left[name])[:3]
    listed = ", ".join(f"{name} ({left[name]:.3f})" for name in hardest)
    return [f"What costs most, on average over the ranked models: {listed}."]


def _shares(scores: AssayScores) -> list[str]:
    known = {name: share for name, share in scores.shares.items() if np.isfinite(share)}
    if not known:
        return []
    first = sorted(known, key=lambda name: -known[name])[:3]
    listed = ", ".join(f"{name} ({100 * known[name]:.0f} %)" for name in first)
    families = scores.shares_of_families
    text = f"What tells models apart: {listed} of the variance between models."
    if len(families) > 1:
        text += " By family: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in families.items()) + "."
    return [text]


def _not_ranked(scores: AssayScores) -> list[str]:
    remarks = []
    complete = scores.tally.complete()
    weak = [
        m for m, there, ranked in zip(scores.models, complete, scores.eligible, strict=True) if there and not ranked
    ]
    if weak:
        remarks.append(
            f"Not ranked, since their clean score is more than {UNDERTRAINED} below the best: {', '.join(weak)}."
        )
    absent = [model for model, there in zip(scores.models, complete, strict=True) if not there]
    if absent:
        remarks.append(f"Not ranked, since some of their cells are missing: {', '.join(absent)}.")
    return remarks
