"""The steps of an adaptation as its page sees them: read from ``adaptation.json``, and what only their folders hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyscope.adaptation.candidates import Choice, Judgement, collapse
from anyscope.adaptation.traits import Traits


@dataclass(frozen=True)
class StepView:
    """A step that was carried out.

    Args:
        name: The step.
        stage: Its stage.
        folder: Name of its folder.
        findings: What it wrote down; empty where nothing.
        candidates: What is known of each of its candidates; none where it does not learn.
        choices: What each rule chose among them.
        rule: The rule that decided.
        collapsed: Epochs of candidates whose prediction of the target has collapsed, and how.
        metrics: Records of its training, one per epoch.
    """

    name: str
    stage: str
    folder: str
    findings: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[Judgement, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    rule: str = ""
    collapsed: Mapping[int, str] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()

    @property
    def choice(self) -> Choice | None:
        """What was taken; None where nothing was to be chosen."""
        return self.choices.get(self.rule)

    @property
    def chosen(self) -> Judgement | None:
        """The candidate that was taken."""
        return None if self.choice is None else self.candidates[self.choice.index]

    @property
    def examination(self) -> Mapping[str, Any] | None:
        """What was found of the translation that was taken; None where nothing was translated, or the translator of
        strength 0 was taken."""
        return None if self.choice is None else self.examinations.get(str(self.choice.epoch))

    @property
    def examinations(self) -> Mapping[str, Mapping[str, Any]]:
        """What was found of translations, by the epochs that were examined; empty where nothing is translated."""
        epochs: Mapping[str, Mapping[str, Any]] = self.findings.get("epochs", {})
        return {epoch: found for epoch, found in epochs.items() if "structure" in found}


def reference_of(document: Mapping[str, Any]) -> Traits | None:
    """Traits of the source's labels, where the document has them."""
    found = document.get("reference")
    return None if found is None else Traits.from_dict(found, "adaptation.json")


def read_steps(
    document: Mapping[str, Any], metrics: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> tuple[StepView, ...]:
    """The steps of a document in the order in which they were carried out.

    Args:
        document: What ``adaptation.json`` holds.
        metrics: Records of trainings by the folder of their step.

    Raises:
        BadInput: A candidate has missing or unknown keys.
    """
    reference = reference_of(document)
    found = []
    for step in document["steps"]:
        candidates = tuple(Judgement.from_dict(each, "adaptation.json") for each in step["candidates"])
        verdicts = {} if reference is None else {one.epoch: collapse(one.target, reference) for one in candidates}
        folder = step["folder"]
        found.append(
            StepView(
                step["name"],
                step["stage"],
                folder,
                step["findings"],
                candidates,
                {name: _choice(each) for name, each in step["choices"].items()},
                document["selection"],
                {epoch: why for epoch, why in verdicts.items() if why is not None},
                tuple((metrics or {}).get(folder, ())),
            )
        )
    return tuple(found)


def learned(steps: Sequence[StepView]) -> StepView | None:
    """The last step that chose a candidate; None where a network was taken as it was."""
    return next((step for step in reversed(steps) if step.chosen is not None), None)


def scale_of(steps: Sequence[StepView]) -> StepView | None:
    """The search over scales that was made last; None without one."""
    return next((step for step in reversed(steps) if step.stage == "scale" and step.findings), None)


def is_inverted(steps: Sequence[StepView]) -> bool:
    """Whether the target is shown with inverted grey levels."""
    return any(step.stage == "polarity" and step.findings.get("inverted") for step in steps)


def _choice(data: Mapping[str, Any]) -> Choice:
    tuples = {name: tuple(data[name]) for name in ("scores", "alarms", "terms")}
    return Choice(**{**data, **tuples})
