"""The report of an adaptation: which network, how sure, and everything that was known when it was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Task
from anyscope.reports.adaptation_figures import candidate_plots, choice_plot, level_plot, loss_plots, scale_plot
from anyscope.reports.adaptation_findings import Verdict, adaptation_alarms, verdict, what_was_done
from anyscope.reports.adaptation_steps import StepView, learned, reference_of, scale_of
from anyscope.reports.adaptation_tables import (
    TERMS,
    candidate_table,
    distance_facts,
    domain_table,
    prior_facts,
    rule_table,
    scale_table,
    step_table,
    term_map,
    transfer_facts,
    translation_table,
)
from anyscope.reports.blocks import (
    Alarm,
    Block,
    Commands,
    Facts,
    Gallery,
    KeyNumbers,
    Plots,
    Points,
    Strips,
    Text,
    alarms_of,
)
from anyscope.reports.numbers import MISSING, capitalised, score
from anyscope.reports.page import Page, Section
from anyscope.reports.scenes import FOUND, LEGEND, AdaptationPictures, scene_item, unchanged
from anyscope.reports.tiles import Strip, Tile, jpeg_uri

Pairs = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class AdaptationReport:
    """What the report of an adaptation shows.

    Args:
        title: Heading of the page.
        document: What ``adaptation.json`` holds.
        steps: Its steps; see :func:`anyscope.reports.adaptation_steps.read_steps`.
        task: ``semantic`` or ``instances``.
        pictures: Target images before and after, and grey levels.
        translations: Images (n, c, y, x) before and after the translation that was taken, by the name of the step.
        few: Whether a few labelled images of the target were given.
        settings: The settings of the run, nested as in its settings.yaml.
        environment: Versions, device and the like.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again.
    """

    title: str
    document: Mapping[str, Any]
    steps: Sequence[StepView]
    task: Task = "semantic"
    pictures: AdaptationPictures = field(default_factory=AdaptationPictures)
    translations: Mapping[str, Pairs] = field(default_factory=dict)
    few: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


def adaptation_report(report: AdaptationReport) -> str:
    """The report of an adaptation as one HTML document."""
    return adaptation_page(report).html()


def adaptation_page(report: AdaptationReport) -> Page:
    """The report of an adaptation as a page, to which sections can be added."""
    found = verdict(report.document, report.steps, _compared(report.pictures))
    top: tuple[Block, ...] = (
        *adaptation_alarms(report.document, report.steps),
        *alarms_of(report.notes),
        *_key_numbers(report),
    )
    sections = [
        _recommendation(report, found),
        *_differences(report),
        *_scenes(report),
        *_scale(report.steps),
        *(section for step in report.steps for section in _step(report, step)),
        _making(report),
    ]
    return Page(report.title, found.sentence, tuple(sections), top, _footer(report.environment))


def _key_numbers(report: AdaptationReport) -> tuple[KeyNumbers, ...]:
    step = learned(report.steps)
    if step is None or step.chosen is None:
        return ()
    chosen, reference = step.chosen, reference_of(report.document)
    wanted = "" if reference is None else f"{reference.foreground_fraction:.1%} in the labels of the source"
    fallen = f", {len(step.collapsed)} collapsed" if step.collapsed else ""
    entries = [
        (
            _or_dash(chosen.stability),
            "overlap with itself on the target",
            "images turned, scaled, noisier; 1 is best",
        ),
        (f"{chosen.target.foreground_fraction:.1%}", "of the target is foreground", wanted),
        (_or_dash(chosen.source_score), "score on the source", "validation images, with labels"),
        (str(chosen.epoch), f"epoch of {step.name}", f"of {len(step.candidates)} candidates{fallen}, by {step.rule}"),
    ]
    scale = scale_of(report.steps)
    if scale is not None:
        factor = scale.findings["zoom"] / scale.findings["nominal"]
        entries.insert(3, (f"{factor:.2f}", "times the nominal scale", f"of {len(scale.findings['zooms'])} tried"))
    return (KeyNumbers(tuple(entries)),)


def _or_dash(value: float | None) -> str:
    return MISSING if value is None else score(value)


def _recommendation(report: AdaptationReport, found: Verdict) -> Section:
    blocks: list[Block] = [Text((what_was_done(report.document, report.steps, report.few),))]
    for title, sentences in (
        ("What speaks against it", found.doubts),
        ("What speaks for it", found.support),
        ("What to check by eye", found.checks),
    ):
        if sentences:
            blocks.append(Points(title, sentences))
    if report.steps:
        blocks.append(step_table(report.steps))
    return Section("What was done, and how sure one can be", tuple(blocks))


def _differences(report: AdaptationReport) -> list[Section]:
    comparison, levels = report.document.get("comparison"), report.pictures.levels
    blocks: list[Block] = []
    lines = report.document.get("differences", ())
    if lines:
        blocks.append(Text(("; ".join([capitalised(lines[0]), *lines[1:]]) + ".",)))
    if comparison is not None:
        blocks.append(domain_table(comparison))
    if levels:
        channels = len(next(iter(levels.values())))
        caption = f"'matched' is {report.pictures.matched}." if "matched" in levels else ""
        blocks.append(Plots(tuple(level_plot(levels, channel) for channel in range(min(channels, 4))), caption))
    if comparison is not None:
        blocks.append(distance_facts(comparison))
    return [Section("How the domains differ", tuple(blocks))] if blocks else []


def _scenes(report: AdaptationReport) -> list[Section]:
    pictures = report.pictures
    if not pictures.scenes:
        return []
    scenes = pictures.scenes
    lead = "A fixed choice of places, made without looking at what is there. No label of the target was read."
    if not _compared(pictures):
        note = "" if not pictures.before else "Nothing was changed after the training: before and after are the same."
        items = tuple(scene_item(replace(scene, before=None), report.task) for scene in scenes)
        return [Section("What it finds in the target", (Gallery("", items, FOUND, note, compact=True),), lead)]
    note = f"Before is {pictures.before}. After is the network of this run."
    if any(step.stage in ("appearance", "pretraining") for step in report.steps):
        note += " What was done ahead of the training is in both."
    items = tuple(scene_item(scene, report.task) for scene in scenes)
    return [Section("Before and after", (Gallery("", items, LEGEND, note, compact=True),), lead)]


def _compared(pictures: AdaptationPictures) -> bool:
    """Whether there is a before and an after that differ."""
    return bool(pictures.scenes and pictures.before) and not unchanged(pictures.scenes)


def _scale(steps: Sequence[StepView]) -> list[Section]:
    step = scale_of(steps)
    if step is None:
        return []
    findings = step.findings
    better = " (lower is better)" if findings["rule"] == "combined" else ""
    lead = (
        f"The target was shown to the network at {len(findings['zooms'])} scales, and what it found was judged by the "
        f"rule {findings['rule']}{better}. The dashed line is the nominal scale, which pixel sizes give."
    )
    plots = Plots((scale_plot(findings),), size="medium")
    return [Section("At which scale", (plots, scale_table(findings)), lead)]


def _step(report: AdaptationReport, step: StepView) -> list[Section]:
    blocks: list[Block] = []
    lead, curves = "", loss_plots(step.metrics)
    if step.candidates and step.choices:
        lead = (
            "Each dot is a candidate, the dashed line the one that was taken. A ring is what a rule takes that looks "
            "at this quantity alone, a cross a candidate that has collapsed."
        )
        blocks.append(Plots((choice_plot(step), *candidate_plots(step), *curves)))
        blocks.append(rule_table(step))
        terms = term_map(step)
        blocks += [] if terms is None else [Text((TERMS,)), terms]
        blocks.append(candidate_table(step))
        blocks += [] if terms is None else [prior_facts()]
    if step.name in report.translations:
        blocks.append(_translated(*report.translations[step.name]))
    if step.examinations:
        blocks.append(translation_table(step))
    if "transfer" in step.findings:
        blocks += transfer_facts(step.findings)
    if curves and not step.choices:
        blocks.append(Plots(curves))
    title = f"Candidates of {step.name}" if step.candidates else capitalised(step.name)
    return [Section(title, tuple(blocks), lead)] if blocks else []


def _translated(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Strips:
    rows = []
    for name, note, images in (
        ("Target", "Patches of the target. Select a picture to enlarge it.", before),
        ("Translated", "What the network is shown instead, in the same order.", after),
    ):
        tiles = []
        for number, image in enumerate(images, 1):
            plane = np.rint(image.mean(axis=0)).astype(np.uint8)
            alt = f"Patch {number} of the target{', translated' if images is after else ''}"
            tiles.append(Tile(jpeg_uri(plane), plane.shape[1], plane.shape[0], f"{number}", alt))
        rows.append(Strip(name, note, tuple(tiles)))
    return Strips("Translated images", tuple(rows))


def _making(report: AdaptationReport) -> Section:
    document = report.document
    names = ("source", "target", "target_images", "method", "profile", "model", "pixels", "selection")
    short: dict[str, object] = {name.replace("_", " "): document[name] for name in names if name in document}
    seed = report.settings.get("train")
    if isinstance(seed, Mapping) and "seed" in seed:
        short["seed"] = seed["seed"]
    blocks: list[Block] = []
    if report.commands:
        blocks.append(Commands(tuple(report.commands), "The same seed on the same machine gives the same network."))
    blocks.append(Facts.of("In short", short))
    if report.settings:
        blocks.append(Facts.of("All settings", report.settings, collapsed=True))
    if report.environment:
        blocks.append(Facts.of("Environment", report.environment, collapsed=True))
    return Section("How it was made", tuple(blocks))


def _footer(environment: Mapping[str, object]) -> str:
    version = environment.get("anyscope")
    if version is None and isinstance(packages := environment.get("packages"), Mapping):
        version = packages.get("anyscope")
    return f"Written by anyscope{f' {version}' if version else ''}. This page is one file and needs no network."
