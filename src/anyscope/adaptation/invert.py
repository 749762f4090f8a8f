"""Whether bright and dark have changed places: fluorescence beside bright field, or stacks that were saved inverted."""

from __future__ import annotations

import json
from typing import ClassVar

from pydantic import Field

from anyscope.adaptation.candidates import choose
from anyscope.adaptation.judging import Exam, judge
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work
from anyscope.models import InputTransform
from anyscope.running.atomic import write_text
from anyscope.running.progress import progress


class Invert(Step):
    """The target as it is, or with its grey levels inverted, whichever the network makes more of.

    What it makes of either is judged by the combined rule, as epochs are; a view in which it collapses loses. Where the
    target is inverted, all that was judged before is judged again, since it was judged on images the wrong way round.

    Black padding of a target that is inverted is shown white.

    Args:
        caution: The score of the inverted target is multiplied by 1 + caution; less is better. The default lies between
            pairs that need it (ratios up to .78) and pairs that do not (from 1.005); see ``docs/results.md``.
    """

    name: ClassVar[str] = "invert"
    stage: ClassVar[Stage] = "polarity"
    summary: ClassVar[str] = "show the target with inverted grey levels, if the network makes more of it so"
    source: ClassVar[str] = "ours"

    caution: float = Field(0.1, ge=0, le=100)

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        domains, spec = work.domains, work.segmenter.spec
        views = (spec.input, inverted(spec.input, spec.channels))
        judgements = []
        exam = Exam.read(domains.source, None, domains.target, spec, work.source_input)
        with progress(self.name, len(views), "views") as shown:
            for number, view in enumerate(views):
                with work.segmenter.seeing(view):
                    judgements.append(judge(work.segmenter, number, exam).judgement)
                shown.advance()
        looks = RULES["combined"](judgements, exam.reference).scores
        scores = [
            None if look is None else look * factor for look, factor in zip(looks, (1, 1 + self.caution), strict=True)
        ]
        choice = choose(self.name, judgements, exam.reference, scores, "lower")
        chosen = 0 if choice.collapsed else choice.index
        document = {
            "inverted": bool(chosen),
            "looks": list(looks),
            "scores": list(scores),
            "judgements": [each.to_dict() for each in judgements],
        }
        write_text(work.folder / "findings.json", json.dumps(document, indent=2) + "\n")
        work.segmenter.spec = spec.model_copy(update={"input": views[chosen]})
        return work


def inverted(transform: InputTransform, channels: int) -> InputTransform:
    """The same transform, after which images of so many channels are shown inverted.

    >>> inverted(InputTransform(), 1).levels
    ((1.0, 0.0),)
    """
    levels = transform.levels or ((0.0, 1.0),) * channels
    return transform.model_copy(update={"levels": tuple(tuple(1 - level for level in channel) for channel in levels)})
