"""What an adaptation says in words: which network to use, how sure one can be of it, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from anyscope.adaptation.traits import Traits
from anyscope.reports.adaptation_steps import StepView, is_inverted, learned, reference_of, scale_of
from anyscope.reports.blocks import Alarm
from anyscope.reports.numbers import score

STABLE = 0.7
"""Predictions that agree less with those of the same images turned, scaled and noisier are called unstable."""
LEARNED = 0.5
"""A score on source validation below this means that the network has not learned its own source."""
FAR = 2.0
"""A share of foreground so many times larger or smaller than in the source's labels is worth a word."""
APART = 1.5
"""Rules disagree where the largest share of foreground among their choices is so many times the smallest."""

Level = Literal["useless", "doubtful", "plausible"]


@dataclass(frozen=True)
class Verdict:
    """What is recommended.

    Args:
        level: ``useless``, ``doubtful`` or ``plausible``. More cannot be said without labels of the target.
        sentence: Which network, and how sure, in one or two sentences.
        doubts: Why not to trust it, one sentence each.
        support: What speaks for it.
        checks: What to look at before it is used.
    """

    level: Level
    sentence: str
    doubts: tuple[str, ...] = ()
    support: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


def what_was_done(document: Mapping[str, Any], steps: Sequence[StepView], few: bool = False) -> str:
    """The adaptation in a few sentences.

    Args:
        document: What ``adaptation.json`` holds.
        steps: Its steps.
        few: Whether a few labelled images of the target were given.
    """
    source, target = document["source"], document["target"]
    if not steps:
        return (
            f"Nothing was changed: a network that had learned from {source} was taken as it was.{_left_out(document)}"
        )
    names = [step.name for step in steps]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    labels = f"Labels of {target} were never opened, whether there are any or not."
    if few:
        labels = f"A few labelled images of the target were given and learned from; labels in {target} were not opened."
    return (
        f"The network learned from labelled images of {source}, and saw images of {target} without labels. Steps, in "
        f"their order: {listed}. {labels}{_left_out(document)}"
    )


def _left_out(document: Mapping[str, Any]) -> str:
    """What was not carried out, and why; nothing where all was."""
    names, gap = document.get("left_out", ()), document.get("gap")
    if not names or gap is None:
        return ""
    return (
        f" Left out: {', '.join(names)}. No gap shows: over the last quarter of the training, predictions of "
        f"{document['target']} changed by {score(gap['target'])} and those of the source by {score(gap['source'])} "
        "(1 - IoU). Where that is so, refinement has harmed more often than helped; a network that is wrong in a "
        "settled way looks like this too. --method carries it out all the same."
    )


def verdict(document: Mapping[str, Any], steps: Sequence[StepView], compared: bool = False) -> Verdict:
    """The recommendation of an adaptation.

    It rests on what predictions look like, and on labels of the source alone.

    Args:
        document: What ``adaptation.json`` holds.
        steps: Its steps.
        compared: Whether pictures before and after are shown.
    """
    step, target = learned(steps), document["target"]
    if step is None or step.chosen is None or step.choice is None:
        sentence = (
            f"Use the network in segmenter/ for {target}. It is the one that was given: nothing was learned, so that "
            "nothing is known of how it does on these images."
        )
        return Verdict("doubtful", sentence, checks=_checks(steps, compared))
    if step.choice.collapsed:
        sentence = (
            f"Do not use this network for {target}: the predictions of every candidate have collapsed. Start again "
            "with another method, a closer source, or a longer training."
        )
        return Verdict("useless", sentence, tuple(step.choice.alarms))
    doubts, support = [], []
    for concern, comfort in (
        _source(step), _stability(step), _foreground(step, reference_of(document)), _agreement(step),
        _polarity(steps), _scale(steps), _translation(steps),
    ):  # fmt: skip
        doubts += [concern] if concern else []
        support += [comfort] if comfort else []
    which = f"epoch {step.choice.epoch} of {step.name}, chosen by {step.rule}"
    if not doubts:
        sentence = (
            f"Use the network in segmenter/ for {target} ({which}). Nothing speaks against it; only labels could say "
            "more, so look at the pictures first."
        )
        return Verdict("plausible", sentence, (), tuple(support), _checks(steps, compared))
    if len(doubts) == 1:
        sentence = f"Use the network in segmenter/ for {target} with care ({which}). One thing speaks against it: "
        sentence += f"{doubts[0][0].lower()}{doubts[0][1:]}"
    else:
        sentence = (
            f"Use the network in segmenter/ for {target} only after you have looked at what it does ({which}): "
            f"{len(doubts)} things speak against it."
        )
    return Verdict("doubtful", sentence, tuple(doubts), tuple(support), _checks(steps, compared))


Finding = tuple[str, str]
"""A concern and a comfort; one of them is empty, or both."""


def _source(step: StepView) -> Finding:
    assert step.chosen is not None
    found = step.chosen.source_score
    if found is None:
        return "The source has no validation images: what the adaptation costs there is not known.", ""
    if found < LEARNED:
        return f"On the source itself it scores {score(found)} only: train longer before anything is concluded.", ""
    return "", f"On validation images of the source it scores {score(found)}."


def _stability(step: StepView) -> Finding:
    assert step.chosen is not None
    found = step.chosen.stability
    if found is None:
        return "How steady its predictions of the target are could not be measured.", ""
    text = f"predictions of the target overlap by {score(found)} (IoU) with those of the same images turned, scaled and"
    if found < STABLE:
        return f"Its {text} noisier: it is unsteady there.", ""
    return "", f"Its {text} noisier."


def _foreground(step: StepView, reference: Traits | None) -> Finding:
    if step.chosen is None or reference is None or not reference.foreground_fraction:
        return "", ""
    found, wanted = step.chosen.target.foreground_fraction, reference.foreground_fraction
    text = f"{found:.1%} of the target is foreground, {wanted:.1%} in the labels of the source"
    if not 1 / FAR <= found / wanted <= FAR:
        return f"{text}: is there so much {'more' if found > wanted else 'less'} of it in the target?", ""
    return "", f"{text}."


def _agreement(step: StepView) -> Finding:
    """Whether the rules, which look at different things, choose networks that find the same amount."""
    indices = {choice.index for choice in step.choices.values()}
    if len(step.candidates) < 2:
        return "There was one candidate only: nothing was chosen.", ""
    shares = [step.candidates[index].target.foreground_fraction for index in indices]
    low, high = min(shares), max(shares)
    if len(indices) == 1:
        return "", f"All {len(step.choices)} selection rules choose the same candidate."
    text = f"The selection rules choose {len(indices)} different candidates, which find {low:.1%} to {high:.1%}"
    if low <= 0 or high / low > APART:
        return f"{text} foreground: the choice matters, and no rule is always right.", ""
    return "", f"{text} foreground: the choice matters little."


def _polarity(steps: Sequence[StepView]) -> Finding:
    if not is_inverted(steps):
        return "", ""
    return "", "The target is shown inverted: as it is, the network makes less of it."


def _scale(steps: Sequence[StepView]) -> Finding:
    step = scale_of(steps)
    if step is None:
        return "", ""
    zooms, zoom = step.findings["zooms"], step.findings["zoom"]
    factor = zoom / step.findings["nominal"]
    if len(zooms) > 1 and zoom in (min(zooms), max(zooms)):
        return (
            f"The best scale, {factor:.2f} times the nominal one, is at the end of those that were tried: a better one "
            "may lie beyond (rescale.octaves), or the pixel size is wrong."
        ), ""
    return "", f"The scale of {factor:.2f} times the nominal one lies within those that were tried."


def _translation(steps: Sequence[StepView]) -> Finding:
    for step in steps:
        found = step.examination
        if found is not None and found["alarms"]:
            return f"The translated images differ in more than their look: {'; '.join(found['alarms'].values())}.", ""
        if found is not None:
            return "", "The translated images show what the originals show, as far as can be measured."
    return "", ""


def _checks(steps: Sequence[StepView], compared: bool) -> tuple[str, ...]:
    found = [
        "Before and after: what is only orange is new; is it there in the image? What is only blue is gone; was it "
        "there?"
        if compared
        else "A few images of the target: is there an object within each outline, and an outline around each object?",
        "Object borders at full size: do outlines follow what you see, or run beside it?",
        "An image without any object, and one of poor quality: does the network invent something?",
    ]
    if is_inverted(steps):
        found.insert(0, "Bright and dark: are objects of the target dark where those of the source are bright?")
    if any(step.examination is not None for step in steps):
        found.insert(0, "Translated images: does a translation show something that its original does not?")
    found.append(
        "To know rather than believe: label one or two images, predict them with 'anyscope predict' and score them "
        "with 'anyscope evaluate'."
    )
    return tuple(found)


def adaptation_alarms(document: Mapping[str, Any], steps: Sequence[StepView]) -> tuple[Alarm, ...]:
    """The alarms of an adaptation, the gravest first.

    That candidates have collapsed which cannot be chosen is a note: it needs no action.
    """
    danger, warning, note = [], [], []
    known = []
    for step in steps:
        choice = step.choice
        for text in () if choice is None else choice.alarms:
            known.append(f"{step.name}: {text}")
            if choice is not None and choice.collapsed and text.startswith("COLLAPSED"):
                danger.append(Alarm(f"{step.name} has collapsed", text.removeprefix("COLLAPSED: "), "danger"))
            elif "collapsed and cannot be chosen" in text:
                note.append(Alarm(f"collapsed candidates of {step.name}", text, "note"))
            else:
                warning.append(Alarm(step.name, text))
        if step.examination is not None and step.examination["alarms"]:
            found = tuple(step.examination["alarms"].values())
            known += [f"{step.name}: {text}" for text in found]
            text = "; ".join(found) + ". Look at the translated images below."
            warning.append(Alarm(f"{step.name} may paint what is not there", text))
    warning += [Alarm("", text) for text in document["alarms"] if text not in known]
    return (*danger, *warning, *note)
