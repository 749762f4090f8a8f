"""Candidates of a training, what is known of each, and how one of them is taken.

A *candidate* is a network at some epoch. It was judged on source validation images, with labels, and on target images,
without; the *reference* holds the traits of the source's training labels. A candidate whose prediction of the target
has collapsed (nothing, everything, or one object over all of it) never wins over one whose prediction has not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from anyscope.adaptation.traits import SPECK_PX, Traits, checked_keys
from anyscope.errors import BadInput

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Judgement:
    """What is known of one candidate.

    Args:
        epoch: Its epoch; 0 is what a refinement began with.
        source_score: Score on source validation, larger is better; None where there is no validation.
        source: Traits of its predictions on source validation images; None where there are none.
        target: Traits of its predictions on target images.
        agreement: IoU of its predictions of the target with those of its teacher or of the candidate before; None where
            there is nothing to compare with.
        stability: Mean IoU of its predictions of the target with those of the same images flipped, scaled and noisier;
            None where it was not measured or nothing is predicted.
    """

    epoch: int
    source_score: float | None
    source: Traits | None
    target: Traits
    agreement: float | None = None
    stability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], subject: str = "judgement") -> Self:
        """From what :meth:`to_dict` gave.

        Raises:
            BadInput: Keys are missing or unknown.
        """
        plain = checked_keys(cls, data, subject)
        plain["target"] = Traits.from_dict(plain["target"], subject)
        if plain["source"] is not None:
            plain["source"] = Traits.from_dict(plain["source"], subject)
        return cls(**plain)


@dataclass(frozen=True)
class Choice:
    """What a rule chose.

    Args:
        rule: Name of the rule.
        index: Place of the chosen candidate among those judged.
        epoch: Its epoch.
        scores: What the rule compared, one value for each candidate; None where it has none.
        better: Which scores win.
        alarms: What the user has to be told.
        collapsed: Whether the chosen candidate's prediction has collapsed, as all others' then.
        terms: Of rules with several terms, their values by name for each candidate; empty for others.
    """

    rule: str
    index: int
    epoch: int
    scores: tuple[float | None, ...]
    better: Better
    alarms: tuple[str, ...] = ()
    collapsed: bool = False
    terms: tuple[Mapping[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data for JSON."""
        data = asdict(self)
        return {**data, "scores": list(self.scores), "alarms": list(self.alarms), "terms": list(data["terms"])}


def collapse(target: Traits, reference: Traits) -> str | None:
    """How a prediction has collapsed, in words; None where it has not.

    What the reference itself looks like is no collapse: labels may cover an image, or be specks.
    """
    share, largest = target.foreground_fraction, target.largest_share
    if not target.pixels:
        return "nothing was judged"
    if not target.foreground_px:
        return "nothing is foreground"
    if share < 0.01 * reference.foreground_fraction:
        return f"only {share:.2g} of the pixels are foreground, where source labels have {_percent(reference)}"
    if share > 0.98 and reference.foreground_fraction < 0.95:
        return f"{share:.1%} of the pixels are foreground, where source labels have {_percent(reference)}"
    if largest > 0.9 and reference.largest_share < 0.7:
        return f"one object covers {largest:.0%} of a plane"
    if not target.objects and reference.objects:
        return f"only specks are found, none of more than {SPECK_PX} px"
    return None


def _percent(reference: Traits) -> str:
    return f"{reference.foreground_fraction:.1%}"


def choose(
    rule: str,
    judgements: Sequence[Judgement],
    reference: Traits,
    scores: Sequence[float | None],
    better: Better,
    terms: Sequence[Mapping[str, float]] = (),
) -> Choice:
    """The candidate with the best score among those that have not collapsed.

    Of equal ones the earliest wins: it has moved least from weights that were trained with labels. Candidates without a
    score never win over those with one; where none has one the last of them is taken, and an alarm says so.

    Args:
        rule: Name of the rule.
        judgements: The candidates, at least one.
        reference: Traits of the source's training labels.
        scores: One for each candidate, None where it has none; NaN counts as none.
        better: Which scores win.
        terms: See :class:`Choice`.
    """
    if not judgements:
        raise BadInput(f"selection by {rule}", "no candidate", "at least one")
    known = [None if score is None or math.isnan(score) else float(score) for score in scores]
    verdicts = [collapse(each.target, reference) for each in judgements]
    eligible = [i for i, verdict in enumerate(verdicts) if verdict is None]
    collapsed = not eligible
    scored = [i for i in eligible or range(len(judgements)) if known[i] is not None]
    alarms = _alarms(judgements, verdicts)
    if scored:
        sign = 1 if better == "lower" else -1
        index = min(scored, key=lambda i: (sign * (known[i] or 0.0), judgements[i].epoch, i))
    else:
        index = (eligible or range(len(judgements)))[-1]
        alarms.append(f"selection by {rule}: no candidate could be scored, the last one is taken")
    if not collapsed:
        alarms += _doubts(judgements[index], reference)
    return Choice(
        rule, index, judgements[index].epoch, tuple(known), better, tuple(alarms), collapsed, tuple(map(dict, terms))
    )


def _alarms(judgements: Sequence[Judgement], verdicts: Sequence[str | None]) -> list[str]:
    """What to say of collapsed candidates."""
    fallen = [(each.epoch, why) for each, why in zip(judgements, verdicts, strict=True) if why is not None]
    if not fallen:
        return []
    some = "; ".join(f"epoch {epoch}: {why}" for epoch, why in fallen[:3]) + ("; ..." if len(fallen) > 3 else "")
    if len(fallen) == len(judgements):
        return [f"COLLAPSED: no candidate segments the target, whatever is chosen is of no use ({some})"]
    return [f"{len(fallen)} of {len(judgements)} candidates have collapsed and cannot be chosen ({some})"]


def _doubts(chosen: Judgement, reference: Traits) -> list[str]:
    """What looks unlike the source's labels in what was chosen."""
    found, expected = chosen.target.foreground_fraction, reference.foreground_fraction
    if not expected or 1 / 5 <= found / expected <= 5:
        return []
    return [f"epoch {chosen.epoch} finds {found:.2%} foreground in the target, source labels have {expected:.2%}"]
