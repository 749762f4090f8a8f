"""Signs that the scores of an assay cannot be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from anyscope.assay.masking import AttackDoubt, attack_doubts, masked_models
from anyscope.assay.plan import BASELINE
from anyscope.assay.scores import UNDERTRAINED, AssayScores
from anyscope.reports.blocks import Alarm
from anyscope.reports.numbers import score
from anyscope.running.ledger import Cell

FEW_IMAGES = 10
_SHOWN = 3


def assay_alarms(scores: AssayScores, failures: Sequence[Cell]) -> tuple[Alarm, ...]:
    """What the reader of the scores must not overlook, the worst first.

    Args:
        scores: Those of the masks.
        failures: Cells (model, condition, image) that failed.
    """
    found = (
        *_failures(failures),
        *_empty(scores),
        *_not_ranked(scores),
        *_masking(scores),
        *_attacks(attack_doubts(scores)),
        *_few(scores),
    )
    return tuple(sorted(found, key=lambda alarm: ("danger", "warning", "note").index(alarm.level)))


def _failures(failures: Sequence[Cell]) -> list[Alarm]:
    alarms = []
    for model, number in Counter(cell.key[0] for cell in failures).items():
        own = [cell for cell in failures if cell.key[0] == model]
        reasons = Counter(cell.failure for cell in own).most_common(_SHOWN)
        where = list(dict.fromkeys(cell.key[1] for cell in own))
        listed = ", ".join(where[:5]) + (f" and {len(where) - 5} more conditions" if len(where) > 5 else "")
        text = f"{number} cell{'' if number == 1 else 's'} of {model} failed, under {listed}. " + " ".join(
            f"{count} times: {reason}" if count > 1 else f"{reason}" for reason, count in reasons
        )
        alarms.append(Alarm(f"failed cells of {model}", text, "danger"))
    return alarms


def _empty(scores: AssayScores) -> list[Alarm]:
    """Predictions without a pixel where the reference has some."""
    hits, invented, missed = np.moveaxis(scores.tally.counts.sum(axis=3), -1, 0)
    empty = (hits + invented == 0) & (missed > 0)
    alarms = []
    for level in ("danger", "note"):
        clean = np.array([(condition.kind == "clean") == (level == "danger") for condition in scores.conditions])
        per_model = empty[:, clean].sum(axis=(1, 2))
        total = np.isfinite(hits[:, clean]).sum(axis=(1, 2))
        listed = ", ".join(
            f"{number} of {whole} of {model}" if level == "danger" else f"{model} in {number} of {whole}"
            for model, number, whole in zip(scores.models, per_model, total, strict=True)
            if number
        )
        if listed and level == "danger":
            text = f"Nothing was predicted for clean images whose reference has objects: {listed} images."
            alarms.append(Alarm("empty predictions of clean images", text, "danger"))
        elif listed:
            text = (
                f"Under degradation nothing was predicted where the reference has objects: in {listed} degraded images."
            )
            alarms.append(Alarm("empty predictions", text, "note"))
    return alarms


def _not_ranked(scores: AssayScores) -> list[Alarm]:
    alarms = []
    complete = scores.tally.complete()
    best = float(np.max(scores.clean[complete], initial=0.0))
    weak = [
        f"{model} ({score(scores.clean[m])})"
        for m, model in enumerate(scores.models)
        if complete[m] and not scores.eligible[m] and model != BASELINE
    ]
    if weak:
        text = (
            f"The clean score of {', '.join(weak)} is more than {UNDERTRAINED:g} below the best ({score(best)}): "
            "perhaps undertrained, and an undertrained network looks more robust by ratios than it is."
        )
        alarms.append(Alarm("not ranked", text))
    absent = [model for m, model in enumerate(scores.models) if not complete[m]]
    if absent:
        text = (
            f"Some cells of {', '.join(absent)} are missing, so that their means would not be of the same conditions."
        )
        alarms.append(Alarm("not ranked, incomplete", text))
    return alarms


def _masking(scores: AssayScores) -> list[Alarm]:
    """One alarm for every model whose gradient hides what matters."""
    return [
        Alarm(
            f"gradient masking of {model}",
            f"Attacks that know less of {model} do better than those by its gradient, so that its scores under the "
            f"latter are no robustness. {' '.join(warnings[:_SHOWN])}",
        )
        for model, warnings in masked_models(scores).items()
    ]


def _attacks(doubts: Sequence[AttackDoubt]) -> list[Alarm]:
    if not doubts:
        return []
    models = list(dict.fromkeys(doubt.model for doubt in doubts))
    attacks = list(dict.fromkeys(doubt.attack for doubt in doubts))
    if len(doubts) <= _SHOWN:
        text = " ".join(f"{doubt.attack} on {doubt.model}: {doubt.warning}" for doubt in doubts)
    else:
        text = (
            f"{len(doubts)} signs that attacks found less than there is: {', '.join(attacks)} on {', '.join(models)}. "
            "Scores under these attacks are upper bounds; all signs are listed under Attacks."
        )
    return [Alarm("attacks that may have failed", text)]


def _few(scores: AssayScores) -> list[Alarm]:
    images = len(scores.tally.images)
    if images >= FEW_IMAGES:
        return []
    text = (
        f"Everything here stands on {images} image{'' if images == 1 else 's'}. Intervals are over images, and those "
        f"of fewer than {FEW_IMAGES} are too narrow: a rank may change with the next image."
    )
    return [Alarm("few images", text)]
