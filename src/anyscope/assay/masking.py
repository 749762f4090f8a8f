"""Signs in the scores of an assay that attacks found less than there is, gradient masking above all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anyscope.assay.conditions import CONTROL, TRANSFER, Condition
from anyscope.assay.degrade import attack_of
from anyscope.assay.scores import AssayScores
from anyscope.attacks import check_attack

STRONGEST = "all by gradient"
"""What the strongest attack with full knowledge, size by size, is called."""


class AttackDoubt(NamedTuple):
    """A sign that an attack failed on a model."""

    model: str
    attack: str
    warning: str


def attack_doubts(scores: AssayScores) -> tuple[AttackDoubt, ...]:
    """What :func:`anyscope.attacks.check_attack` says of every attack by gradient on every model.

    Each attack is held against noise of the same size, and against itself with another number of steps. The strongest
    of all, size by size, is held against those that know less: attacks without gradients, and those made for other
    models.
    """
    doubts = []
    names = scores.names("attack")
    for m, model in enumerate(scores.models):
        if not np.isfinite(scores.clean[m]):
            continue
        clean = float(scores.clean[m])
        for series in names:
            group = scores.series[series]
            found = _by_epsilon(scores, m, group)
            if found:
                control = [Condition("attack", CONTROL, one.level, one.norm) for one in group]
                warnings = check_attack(found, clean, _by_epsilon(scores, m, control), _by_steps(scores, m, group[-1]))
                doubts += [AttackDoubt(model, series, warning) for warning in warnings]
        doubts += [AttackDoubt(model, STRONGEST, warning) for warning in _masking(scores, m)]
    return tuple(doubts)


def masked_models(scores: AssayScores) -> dict[str, tuple[str, ...]]:
    """The models that are attacked better without their gradients than with them, and the numbers that say so."""
    found = {model: _masking(scores, m) for m, model in enumerate(scores.models)}
    return {model: warnings for model, warnings in found.items() if warnings}


def _masking(scores: AssayScores, model: int) -> tuple[str, ...]:
    """What knows less of a model and is stronger all the same."""
    if not np.isfinite(scores.clean[model]):
        return ()
    warnings: list[str] = []
    for norm in ("linf", "l2"):
        own, blind, foreign = (_lowest(scores, model, norm, family) for family in ("attack", "black-box", TRANSFER))
        if own and (blind or foreign):
            # what is said of the attack alone is said of each already
            clean = float(scores.clean[model])
            alone = set(check_attack(own, clean, {}))
            warnings += [
                w for w in check_attack(own, clean, {}, None, foreign, black_box_by_epsilon=blind) if w not in alone
            ]
    return tuple(warnings)


def _lowest(scores: AssayScores, model: int, norm: str, family: str) -> dict[float, float]:
    """The lowest score of a model by radius over the attacks of a family; none that were made for itself."""
    lowest: dict[float, float] = {}
    for condition in scores.conditions:
        if (condition.family, condition.norm) != (family, norm) or condition.of == scores.models[model]:
            continue
        value = float(scores.of(condition)[model])
        if np.isfinite(value):
            lowest[condition.level / 255] = min(value, lowest.get(condition.level / 255, np.inf))
    return lowest


def _by_steps(scores: AssayScores, model: int, condition: Condition) -> dict[int, float]:
    """Scores under one attack at one size by its number of steps; only for the condition of most steps, so that a sign
    is given once."""
    found: dict[int, float] = {}
    for other in scores.conditions:
        if (other.kind, other.name, other.level, other.norm) == ("attack", *_of(condition)):
            steps = getattr(attack_of(other, 1, None), "resolved_steps", None)
            value = float(scores.of(other)[model])
            if steps is not None and np.isfinite(value):
                found[steps] = value
    own = getattr(attack_of(condition, 1, None), "resolved_steps", None)
    return found if found and own == max(found) else {}


def _of(condition: Condition) -> tuple[str, float, str]:
    return condition.name, condition.level, condition.norm


def _by_epsilon(scores: AssayScores, model: int, group: Sequence[Condition]) -> dict[float, float]:
    """Scores by radius in units of the image; what was not measured is left out."""
    values = {c.level / 255: float(scores.of(c)[model]) for c in group if c in scores.conditions}
    return {radius: value for radius, value in values.items() if np.isfinite(value)}
