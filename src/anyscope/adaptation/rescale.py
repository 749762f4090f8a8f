"""At which scale the target is shown to the network: searched without labels, and judged like every other choice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from anyscope.adaptation.candidates import Choice, Judgement, choose
from anyscope.adaptation.judging import Exam, judge
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work
from anyscope.running.atomic import write_text
from anyscope.running.progress import progress, say

_SMALLEST, _LARGEST = 0.1, 10.0
"""What a zoom can be; see :class:`anyscope.models.InputTransform`."""


class Rescale(Step):
    """A search over the zoom of the target.

    Pixel sizes are often unknown or wrong, and objects of one kind differ in size between species. The network that was
    trained on the source predicts the target at several zooms; a selection rule takes one of them. Zooms are factors of
    what the pixel sizes say, nearest first, so that of equal ones the nominal wins.

    A network finds objects of the size that it knows at any scale, and enlarged images are smooth, so that predictions
    far from the truth can look good. Hence the caution: what is far from the nominal scale must look much better. Its
    default is the middle of the range (.1 to .3) within which the choice was best, by labels that the search did not
    see, on pairs of nuclei acquisitions; no mitochondria went into it. Where no gap shows there is little to gain, and
    moves have cost up to .02: the caution is then one that cost less than .01 on each pair of nuclei, and only what
    looks far better is moved for. ``docs/results.md`` has the numbers.

    Args:
        octaves: How far the search goes either way where both pixel sizes are known; 1 is half to double.
        octaves_unknown: The same where one of them is unknown.
        steps_per_octave: Zooms in an octave.
        rule: Which selection rule judges, of those for which less is better.
        caution: Its score is multiplied by 1 + caution d^2 at a distance of d octaves from the nominal zoom.
        caution_without_gap: The same where no gap shows and the method was not asked for by name.
    """

    name: ClassVar[str] = "rescale"
    stage: ClassVar[Stage] = "scale"
    summary: ClassVar[str] = "search the scale at which the network sees the target"
    source: ClassVar[str] = "ours"

    octaves: float = Field(1.0, gt=0, le=3)
    octaves_unknown: float = Field(2.0, gt=0, le=3)
    steps_per_octave: int = Field(3, ge=1, le=12)
    rule: Literal["combined", "solidity", "solidity-per-slice", "area-ratio"] = "combined"
    caution: float = Field(0.2, ge=0, le=100)
    caution_without_gap: float = Field(2.0, ge=0, le=100)

    def zooms(self, known: bool) -> list[float]:
        """Factors of the nominal scale, nearest first.

        >>> Rescale(steps_per_octave=1).zooms(known=True)
        [1.0, 0.5, 2.0]
        """
        reach = round((self.octaves if known else self.octaves_unknown) * self.steps_per_octave)
        places = sorted(range(-reach, reach + 1), key=lambda place: (abs(place), place))
        return [2.0 ** (place / self.steps_per_octave) for place in places]

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        rule = RULES[self.rule]
        domains, spec = work.domains, work.segmenter.spec
        sizes = [region.pixel_size_nm for region in (*domains.source, *domains.target)]
        nominal = spec.input.zoom
        zooms = [zoom for zoom in self.zooms(None not in sizes) if _SMALLEST <= zoom * nominal <= _LARGEST]
        caution = max(self.caution, self.caution_without_gap) if work.settled else self.caution
        if work.settled:
            say(f"{self.name}: no gap shows: a scale is taken only where it looks far better (caution {caution:g})")
        judgements: list[Judgement] = []
        reference = None
        with progress(self.name, len(zooms), "zooms") as shown:
            for number, zoom in enumerate(zooms):
                with work.segmenter.seeing(spec.input.model_copy(update={"zoom": zoom * nominal})):
                    exam = Exam.read(domains.source, None, domains.target, work.segmenter.spec, work.source_input)
                    judgements.append(judge(work.segmenter, number, exam).judgement)
                reference = exam.reference
                shown.advance(note=f"x {zoom:.2f}")
        assert reference is not None  # there is always the nominal zoom
        looks = rule(judgements, reference).scores
        scores = [
            None if look is None else look * (1 + caution * math.log2(zoom) ** 2)
            for look, zoom in zip(looks, zooms, strict=True)
        ]
        choice = choose(self.rule, judgements, reference, scores, "lower")
        zoom = zooms[choice.index] if choice.scores[choice.index] is not None else 1.0
        document = {
            "zoom": zoom * nominal,
            "nominal": nominal,
            "rule": self.rule,
            "caution": caution,
            "zooms": [each * nominal for each in zooms],
            "looks": list(looks),
            "scores": list(scores),
            "judgements": [each.to_dict() for each in judgements],
            "alarms": _alarms(choice, zoom),
        }
        write_text(work.folder / "findings.json", json.dumps(document, indent=2) + "\n")
        work.segmenter.spec = spec.with_input(zoom=zoom * nominal)
        return replace(work)


def _alarms(choice: Choice, zoom: float) -> list[str]:
    """What is wrong with the zoom that was chosen; that others collapse is what a search is for."""
    if choice.collapsed:
        return ["COLLAPSED: at no scale does the network segment the target, whatever is chosen is of no use"]
    prefix = f"epoch {choice.epoch} "
    return [f"at {zoom:.2f} times the nominal scale it {each.removeprefix(prefix)}" for each in choice.alarms
            if each.startswith(prefix)]  # fmt: skip
