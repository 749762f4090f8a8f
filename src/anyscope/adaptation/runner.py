"""Carrying out an adaptation: one step after the other, candidates judged and one chosen after each that learns.

All that a step leaves is in its folder, so that a killed run goes on within the step in which it was stopped.
```
FOLDER/1-supervised/   metrics.jsonl, checkpoints/, candidates/00003.safetensors, judgements.json, findings.json
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from anyscope.adaptation.candidates import Choice, Judgement
from anyscope.adaptation.domains import Domains
from anyscope.adaptation.gap import GapSign, Weights, look_for_gap
from anyscope.adaptation.judging import Exam, judge
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.settings import AdaptSettings
from anyscope.adaptation.step import FOR_GAPS, LEARNING, Step
from anyscope.adaptation.supervised import Supervised
from anyscope.adaptation.work import Work, on_device
from anyscope.models import InputTransform, Segmenter
from anyscope.models.storage import read_safetensors
from anyscope.running.atomic import write_text
from anyscope.running.progress import progress, say
from anyscope.training.loop import earlier_epoch
from anyscope.training.settings import TrainSettings
from anyscope.training.tuning_modes import keeping_adapted

FINDINGS, JUDGEMENTS, GAP = "findings.json", "judgements.json", "gap.json"


@dataclass(frozen=True)
class StepResult:
    """What a step left.

    Args:
        name: The step.
        stage: Its stage.
        folder: Its folder.
        findings: What it wrote into ``findings.json``; empty where nothing.
        candidates: Weights by epoch; none where it does not learn.
        judgements: What is known of each candidate, in the order of their epochs.
        choices: What each rule chooses among them.
    """

    name: str
    stage: str
    folder: Path
    findings: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[int, Path] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)


@dataclass(frozen=True)
class Adapted:
    """What an adaptation ended with.

    Args:
        segmenter: The chosen weights, with how images of the target are shown to them in the spec.
        rule: The rule that chose.
        steps: What each step left.
        gap: What training on the source says of the target; None where it cannot say.
        left_out: Names of steps that were not carried out, since no gap showed.
    """

    segmenter: Segmenter
    rule: str
    steps: tuple[StepResult, ...]
    gap: GapSign | None = None
    left_out: tuple[str, ...] = ()

    @property
    def learned(self) -> StepResult | None:
        """The last step that learned; None where a trained segmenter was taken as it was."""
        return next((step for step in reversed(self.steps) if step.candidates), None)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What the user has to be told, of every step."""
        found = []
        for step in self.steps:
            chosen = step.choices[self.rule].alarms if step.choices else ()
            found += [f"{step.name}: {text}" for text in (*self._of_findings(step), *chosen)]
        if self.gap is not None and not self.gap.shows and any(step.stage in FOR_GAPS for step in self.steps):
            found.append(f"no gap shows: {self.gap.words()}; here refinement has harmed more often than helped")
        return tuple(found)

    def _of_findings(self, step: StepResult) -> Sequence[str]:
        """Alarms that the step raised itself: those of the chosen epoch where it tells epochs apart."""
        if "epochs" not in step.findings or not step.choices:
            return tuple(step.findings.get("alarms", ()))
        chosen = step.findings["epochs"].get(str(step.choices[self.rule].epoch), {})
        return tuple(chosen.get("alarms", {}).values())


@dataclass(frozen=True)
class Shared:
    """Training on a source that was done before and serves all its targets.

    Args:
        settings: What it was done with.
        folder: The folder of its step.
    """

    settings: TrainSettings
    folder: Path


def carry_out(
    domains: Domains,
    settings: AdaptSettings,
    segmenter: Segmenter,
    folder: Path,
    device: str,
    *,
    trained: bool = False,
    earlier: Path | None = None,
    shared: Shared | None = None,
) -> Adapted:
    """Carry out the chain of steps of the settings.

    Args:
        domains: Source and target.
        settings: What to do.
        segmenter: What to begin with. Its spec's input transform is how the target is shown to it at first; the source
            is shown at the zoom of the settings.
        folder: Where the steps' folders go; those that are there already are continued.
        device: Where networks work.
        trained: Whether the segmenter has learned from labels.
        earlier: Weights from a quarter of that training before its end, where they are known.
        shared: Plain training on this source that need not be done again.
    """
    chain = settings.chain(trained)
    for step in chain:
        step.check(segmenter.spec)
    on_device(segmenter, device)
    work = Work(
        domains, settings.train, folder, device, segmenter, InputTransform(zoom=settings.train.zoom), trained,
        candidates=settings.candidates,
    )  # fmt: skip
    results: list[StepResult] = []
    left_out: tuple[str, ...] = ()
    gap, selves = None, [] if earlier is None else [earlier]
    asks = FOR_GAPS | {"scale"} if settings.only_for_gaps else FOR_GAPS
    if selves and any(step.stage in asks for step in chain):
        gap = gap_sign(work, selves)
    for number, step in enumerate(chain, 1):
        settled = settings.only_for_gaps and gap is not None and not gap.shows
        if settled and gap is not None and step.stage in FOR_GAPS:
            left_out = tuple(each.name for each in chain[number - 1 :])
            say(f"{', '.join(left_out)}: left out, no gap shows: {gap.words()}")
            break
        own = folder / f"{number}-{step.name}"
        own.mkdir(parents=True, exist_ok=True)
        work = replace(work, folder=own, settled=settled)
        say(f"step {number} of {len(chain)}: {step.name}: {step.summary}")
        with keeping_adapted(segmenter):
            work, result = _carry_out_step(step, work, settings, shared)
        if turned := bool(result.findings.get("inverted")):
            results = [_judge_again(each, work, settings) for each in results]
        results.append(result)
        if step.stage == "training":
            files = list(result.candidates.values())
            selves = [files[at - 1] for at in (earlier_epoch(len(files)), len(files))] if len(files) > 1 else []
        if selves and (step.stage == "training" or (turned and gap is not None)):
            gap = gap_sign(work, selves)
        if step.stage == "pretraining":
            shared = None
    return Adapted(work.segmenter, settings.selection, tuple(results), gap, left_out)


def _carry_out_step(step: Step, work: Work, settings: AdaptSettings, shared: Shared | None) -> tuple[Work, StepResult]:
    if shared is not None and _serves(shared, step, work):
        candidates: Mapping[int, Path] = replace(work, folder=shared.folder).kept()
    else:
        work = step.run(work)
        candidates = work.kept()
    findings = _read(work.folder / FINDINGS) or {}
    if step.stage not in LEARNING:
        return work, StepResult(step.name, step.stage, work.folder, findings)
    result = StepResult(step.name, step.stage, work.folder, findings, candidates)
    return replace(work, trained=True), _choose(result, work, settings)


def _choose(result: StepResult, work: Work, settings: AdaptSettings) -> StepResult:
    """Judge the candidates of a step on the target as the segmenter is shown it, and take the one that is chosen."""
    candidates, exam = result.candidates, examine(work)
    judgements = judge_candidates(work, candidates, exam)
    choices = {name: rule(judgements, exam.reference) for name, rule in RULES.items()}
    choice = choices[settings.selection]
    take(work.segmenter, list(candidates.values())[choice.index])
    say(f"{result.name}: epoch {choice.epoch} of {len(candidates)} candidates is taken, by {choice.rule}")
    for alarm in choice.alarms:
        say(f"warning: {alarm}")
    return replace(result, judgements=judgements, choices=choices)


def _judge_again(result: StepResult, work: Work, settings: AdaptSettings) -> StepResult:
    """What was chosen before the target was turned to its inverse, chosen anew; of other steps what they found."""
    if not result.choices:
        return result
    say(f"{result.name}: its candidates are judged again, on the target as it is shown now")
    return _choose(result, work, settings)


def _serves(shared: Shared, step: Step, work: Work) -> bool:
    plain = isinstance(step, Supervised) and not work.styles and not work.frozen and not work.trained
    return plain and work.domains.few is None and work.settings == shared.settings


def take(segmenter: Segmenter, weights: Path) -> None:
    """Load the weights of a candidate."""
    segmenter.load_state_dict(read_safetensors(weights))
    segmenter.eval()


def examine(work: Work) -> Exam:
    """What the candidates of a step are judged on."""
    domains = work.domains
    return Exam.read(domains.source, domains.validation, domains.target, work.segmenter.spec, work.source_input)


def judge_candidates(work: Work, candidates: Mapping[int, Path], exam: Exam) -> tuple[Judgement, ...]:
    """Judge every candidate beside the one before it, or read what was written when it was done already."""
    path = work.folder / JUDGEMENTS
    known = _read(path)
    if known is not None and [each["epoch"] for each in known] == list(candidates):
        return tuple(Judgement.from_dict(each, str(path)) for each in known)
    judgements, previous = [], None
    with progress(f"judge {work.folder.name}", len(candidates), "candidates") as shown:
        for epoch, weights in candidates.items():
            take(work.segmenter, weights)
            judged = judge(work.segmenter, epoch, exam, previous=previous)
            judgements.append(judged.judgement)
            previous = judged.predictions
            shown.advance()
    write_json(path, [each.to_dict() for each in judgements])
    return tuple(judgements)


def gap_sign(work: Work, files: Sequence[Path]) -> GapSign:
    """What two networks, a quarter of a training apart, say of the target; read where it was made already.

    Args:
        work: The domains, and how they are shown; what was made is in its folder.
        files: Weights of both, or of the earlier one alone where the later is the segmenter's.
    """
    path = work.folder / GAP
    known = _read(path)
    if known is not None:
        return GapSign(**known)
    work.folder.mkdir(parents=True, exist_ok=True)
    later = [work.segmenter.state_dict()] if len(files) == 1 else []
    networks: list[Weights] = [*(read_safetensors(each) for each in files), *later]
    sign = look_for_gap(work, networks, examine(work).reference)
    write_json(path, asdict(sign))
    return sign


def write_json(path: Path, document: Any) -> None:
    """Write plain data, whole or not at all."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
