"""The report of a training run, and of an evaluation alone, from plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyscope.contracts import Task
from anyscope.reports.alarms import image_alarms, training_alarms
from anyscope.reports.blocks import (
    Alarm,
    Block,
    Commands,
    DataTable,
    Facts,
    Gallery,
    KeyNumbers,
    Plots,
    ScoreTable,
    Stacks,
    alarms_of,
)
from anyscope.reports.error_pictures import error_legend
from anyscope.reports.evaluations import ScoreRow, per_image, primary_key, score_rows
from anyscope.reports.figures import learning_curves, score_distribution
from anyscope.reports.numbers import capitalised, plain, score, score_name
from anyscope.reports.object_findings import NUMBERS
from anyscope.reports.object_section import ObjectFindings, object_section
from anyscope.reports.page import Page, Section
from anyscope.reports.samples import Sample, gallery_item, legend
from anyscope.reports.selection import Choice, choose
from anyscope.reports.stacks import StackItem

_GROUPS = {"worst": "The worst", "median": "In the middle", "best": "The best"}
_LONGEST_TABLE = 500
_MOST_SCORES = 8
"""Columns of a table that also holds words."""


@dataclass(frozen=True)
class EvaluationReport:
    """What the report of an evaluation shows.

    Args:
        title: Heading of the page.
        evaluation: The evaluation document, as ``evaluate --json`` prints it.
        task: ``semantic`` or ``instances``; decides which errors the pictures show.
        samples: Images to show; :func:`anyscope.reports.selection.choose` says which.
        ranking: Score of everything the samples were chosen from, where that is not the images of the evaluation but,
            for example, the planes of a stack.
        stacks: Stacks to scroll through.
        findings: Errors of objects, None where there is nothing to say about objects.
        primary_score: The score that images are ranked by; the first of the document where it is None.
        higher_is_better: False where the primary score is an error or a distance.
        environment: Versions, device and the like.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again.
    """

    title: str
    evaluation: Mapping[str, Any]
    task: Task = "semantic"
    samples: Sequence[Sample] = ()
    ranking: Mapping[str, float | None] = field(default_factory=dict)
    stacks: Sequence[StackItem] = ()
    findings: ObjectFindings | None = None
    primary_score: str | None = None
    higher_is_better: bool = True
    environment: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class RunReport:
    """What the report of a training run shows.

    Args:
        title: Heading of the page.
        settings: The settings of the run, nested as in its settings.yaml.
        environment: Versions, device and the like.
        metrics: Records of metrics.jsonl, one per epoch.
        evaluation: The document of the test images, or None where there were none.
        task: ``semantic`` or ``instances``.
        samples: Test images to show.
        ranking: As for :class:`EvaluationReport`.
        stacks: Stacks to scroll through.
        findings: Errors of objects, None where there is nothing to say about objects.
        primary_score: The score that images are ranked by; the first of the document where it is None.
        higher_is_better: False where the primary score is an error or a distance.
        best_epoch: The epoch whose weights were kept.
        decoders: Decoders that were tuned, as ``decoders.json`` has them, the best one first.
        facts: What a reader asks first: dataset, number of images, seed, model.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again.
    """

    title: str
    settings: Mapping[str, object]
    environment: Mapping[str, object]
    metrics: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, Any] | None
    task: Task = "semantic"
    samples: Sequence[Sample] = ()
    ranking: Mapping[str, float | None] = field(default_factory=dict)
    stacks: Sequence[StackItem] = ()
    findings: ObjectFindings | None = None
    primary_score: str | None = None
    higher_is_better: bool = True
    best_epoch: int | None = None
    decoders: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


def run_report(report: RunReport) -> str:
    """The report of a training run as one HTML document."""
    return run_page(report).html()


def evaluation_report(report: EvaluationReport) -> str:
    """The report of an evaluation as one HTML document."""
    return evaluation_page(report).html()


def run_page(report: RunReport) -> Page:
    """The report of a training run as a page, to which sections can be added.

    Raises:
        BadInput: The evaluation has no scores, or not the primary score.
    """
    sections: list[Section] = []
    top: list[Block] = []
    lead = "Trained, but not evaluated: there were no test images."
    if report.evaluation is not None:
        shown = EvaluationReport(
            report.title,
            report.evaluation,
            report.task,
            report.samples,
            report.ranking,
            report.stacks,
            report.findings,
            report.primary_score,
            report.higher_is_better,
        )
        inner = evaluation_page(shown)
        lead, top, sections = inner.lead, list(inner.top), list(inner.sections)
    top += [*training_alarms(report.metrics, report.best_epoch), *alarms_of(report.notes)]
    if report.metrics:
        sections.append(_training_section(report.metrics, report.best_epoch))
    if len(report.decoders) > 1:
        sections.append(_decoder_section(report.decoders))
    facts: list[Block] = [Facts.of("In short", report.facts)] if report.facts else []
    facts.append(Facts.of("All settings", report.settings, collapsed=bool(report.facts)))
    if report.environment:
        facts.append(Facts.of("Environment", report.environment, collapsed=True))
    sections.append(Section("What was run", tuple(facts)))
    sections += _reproduction(report.commands)
    return Page(report.title, lead, tuple(sections), tuple(top), _footer(report.environment))


def evaluation_page(report: EvaluationReport) -> Page:
    """The report of an evaluation as a page, to which sections can be added.

    Raises:
        BadInput: The evaluation has no scores, or not the primary score.
    """
    document = report.evaluation
    rows = score_rows(document)
    key = primary_key(document, report.primary_score)
    primary = next((row for row in rows if row.key == key), None)
    by_image = per_image(document, key) if key is not None else {}
    sections = [_score_section(document, rows, primary)]
    if report.stacks:
        sections.append(_stack_section(report))
    if report.samples:
        sections.append(_picture_section(report, by_image, primary))
    if report.findings is not None:
        sections.append(object_section(report.findings))
    if report.environment:
        sections.append(Section("What was run", (Facts.of("Environment", report.environment),)))
    sections += _reproduction(report.commands)
    alarms = (*image_alarms(report.samples), *alarms_of(report.notes))
    top: tuple[Block, ...] = (*_key_numbers(document, rows, primary), *alarms)
    return Page(report.title, _lead(document, primary), tuple(sections), top, _footer(report.environment))


def _lead(document: Mapping[str, Any], primary: ScoreRow | None) -> str:
    n = int(document.get("n", 0))
    images = f"{n} image{'' if n == 1 else 's'}"
    if primary is None or (primary.pooled is None and primary.mean is None):
        return f"Scored on {images} by the protocol {document.get('protocol', MISSING_PROTOCOL)}."
    parts = [f"{capitalised(primary.name)} is {score(primary.pooled)} over {images} together"]
    if primary.mean is not None and primary.n > 1:
        parts.append(f"{score(primary.mean)} ± {score(primary.deviation)} from image to image")
    return ", ".join(parts) + "."


MISSING_PROTOCOL = "that was not named"


def _key_numbers(
    document: Mapping[str, Any], rows: Sequence[ScoreRow], primary: ScoreRow | None
) -> tuple[KeyNumbers, ...]:
    """The primary score, the two next ones, and on how many images they stand."""
    ordered = [row for row in (primary, *(row for row in rows if row is not primary)) if row is not None]
    # Of scores that differ only in a threshold, such as accuracy_50 and accuracy_55, the first stands for all.
    families = {row.key.rstrip("_0123456789"): row for row in reversed(ordered)}
    entries = []
    for row in [row for row in ordered if row in families.values()][:3]:
        spread = f"mean {score(row.mean)} ± {score(row.deviation)}" if row.n > 1 else ""
        entries.append((score(row.pooled), row.name, spread))
    empty = int(document.get("n_empty") or 0)
    remark = f"{empty} of them empty, counted apart" if empty else ""
    entries.append((plain(document.get("n")), "images", remark))
    return (KeyNumbers(tuple(entries)),)


def _score_section(document: Mapping[str, Any], rows: tuple[ScoreRow, ...], primary: ScoreRow | None) -> Section:
    conventions = [("Pooled", "the score of the counts summed over all images")]
    conventions.append(("Mean ± sd", "of the scores of single images, and their standard deviation"))
    if any(row.interval for row in rows):
        conventions.append(("95 % of mean", "bootstrap interval of the mean over images"))
    conventions += [
        (str(topic).replace("_", " ").capitalize(), plain(text))
        for topic, text in (document.get("conventions") or {}).items()
    ]
    images = "1 image" if document.get("n") == 1 else f"{plain(document.get('n'))} images"
    caption = f"Protocol {document.get('protocol', MISSING_PROTOCOL)}, {images}"
    plot = None
    if primary is not None and primary.n > 1:
        plot = score_distribution(primary.key, primary.values, primary.pooled, primary.mean, primary.interval)
    blocks: list[Block] = [ScoreTable(caption, rows, tuple(conventions), plot)]
    if document.get("per_image"):
        blocks.append(_image_table(document, rows))
    return Section("Scores", tuple(blocks))


def _picture_section(
    report: EvaluationReport, by_image: Mapping[str, float | None], primary: ScoreRow | None
) -> Section:
    """The samples in the groups that :func:`choose` gives them, the worst first; others after them."""
    samples = {sample.name: sample for sample in report.samples}
    scores = report.ranking or by_image or {sample.name: sample.score for sample in report.samples}
    choices = _choices_among(scores, samples, report.higher_is_better)
    colours = _legend(report)
    measure = primary.name if primary is not None else "score"
    blocks: list[Block] = []
    for group, title in _GROUPS.items():
        items = tuple(
            gallery_item(
                samples[choice.name],
                report.task,
                f"{measure} {score(choice.score)}, rank {choice.rank} of {choice.of}",
            )
            for choice in choices
            if choice.group == group
        )
        if items:
            blocks.append(Gallery(title, items, colours if not blocks else ()))
    ranked = {choice.name for choice in choices}
    others = tuple(
        gallery_item(sample, report.task, f"{measure} {score(sample.score)}" if sample.score is not None else "")
        for name, sample in samples.items()
        if name not in ranked
    )
    if others:
        blocks.append(Gallery("Further images", others, () if blocks else colours))
    lead = (
        "Grey values are stretched between the 0.2 and 99.8 percentile of each image. "
        "Select a picture to enlarge it; select it again, or use the arrow keys, to switch between the views."
    )
    return Section("Pictures", tuple(blocks), lead)


def _stack_section(report: EvaluationReport) -> Section:
    lead = (
        "Each stack has one range of grey levels and, for objects, one colour per object in all its planes, the same "
        "for partners in reference and prediction where neighbours allow it. The page holds these planes alone."
    )
    return Section("Through the stack", (Stacks("", tuple(report.stacks), _legend(report)),), lead)


def _legend(report: EvaluationReport) -> tuple[tuple[str, str], ...]:
    """Colours of the errors; for objects with their numbers in all images, or else in those that are shown."""
    if report.task == "instances":
        if report.findings is not None:
            return error_legend(report.findings.numbers)
        totals: Counter[str] = Counter(dict.fromkeys(NUMBERS, 0))
        for sample in report.samples:
            totals.update(sample.object_errors.numbers())
        return error_legend(totals)
    return legend(any(max(sample.reference.max(), sample.prediction.max()) > 1 for sample in report.samples))


def _choices_among(
    scores: Mapping[str, float | None], samples: Mapping[str, Sample], higher_is_better: bool
) -> list[Choice]:
    """The choices that were loaded: as many per group as the samples cover."""
    best: list[Choice] = []
    for per_group in range(1, len(samples) + 1):
        chosen = [choice for choice in choose(scores, per_group, higher_is_better) if choice.name in samples]
        if len(chosen) > len(best):
            best = chosen
    return best


def _image_table(document: Mapping[str, Any], rows: Sequence[ScoreRow]) -> DataTable:
    columns = [per_image(document, row.key) for row in rows]
    names = list(columns[0])
    table = tuple((name, *(column.get(name) for column in columns)) for name in names[:_LONGEST_TABLE])
    caption = "Scores of every image"
    if len(names) > len(table):
        caption = f"Scores of the first {len(table)} of {len(names)} images"
    header = ("Image", *(row.name for row in rows))
    return DataTable(caption, header, table, collapsed=True)


def _training_section(metrics: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Section:
    keys = list(dict.fromkeys(key for record in metrics for key in record))
    step = max(1, -(-len(metrics) // 200))
    shown = [record for place, record in enumerate(metrics) if place % step == 0 or record is metrics[-1]]
    table = tuple(tuple(_cell(record.get(key)) for key in keys) for record in shown)
    caption = "The numbers behind the curves" if step == 1 else f"Every {step}th epoch"
    header = tuple(score_name(key) for key in keys)
    plots = Plots(learning_curves(metrics, best_epoch))
    return Section("Training", (plots, DataTable(caption, header, table, collapsed=True)))


def _decoder_section(decoders: Sequence[Mapping[str, Any]]) -> Section:
    lead = "Scores of the validation part by every decoder that fits, each with the parameters that scored best there."
    names = list(decoders[0]["scores"])[:_MOST_SCORES]
    rows = tuple(
        (one["decoder"]["name"], *(_cell(one["scores"][name]) for name in names), one["words"]) for one in decoders
    )
    header = ("Decoder", *(score_name(name) for name in names), "How objects are made")
    return Section("Decoders", (DataTable("Decoders, the best one first", header, rows),), lead)


def _cell(value: object) -> str | float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None if value is None else plain(value)


def _reproduction(commands: Sequence[str]) -> list[Section]:
    if not commands:
        return []
    lead = "The same seed on the same machine and number of threads gives the same result."
    return [Section("How to get the same", (Commands(tuple(commands)),), lead)]


def _footer(environment: Mapping[str, object]) -> str:
    version = environment.get("anyscope")
    return f"Written by anyscope{f' {version}' if version else ''}. This page is one file and needs no network."
