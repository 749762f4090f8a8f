"""The report of an assay, from its scores and from pictures that were made beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from anyscope.assay.findings import Findings
from anyscope.assay.gains import Gain
from anyscope.assay.masking import attack_doubts
from anyscope.assay.scores import AssayScores
from anyscope.assay.statistics import RankCorrelation, interval
from anyscope.assay.tally import NAMES
from anyscope.reports.assay_alarms import assay_alarms
from anyscope.reports.assay_figures import (
    attack_curves,
    model_styles,
    ranking_order,
    ranking_plot,
    scatter,
    severity_curves,
    share_bars,
)
from anyscope.reports.assay_tables import (
    ATTACK_FAMILIES,
    attack_table,
    definitions,
    heat_maps,
    level_table,
    ranking_table,
    series_table,
)
from anyscope.reports.attack_tables import gain_table, strong_blocks
from anyscope.reports.blocks import (
    Alarm,
    Block,
    Commands,
    DataTable,
    Facts,
    KeyNumbers,
    LineLegend,
    Plots,
    Strips,
    Text,
    alarms_of,
)
from anyscope.reports.drawing import Plot
from anyscope.reports.numbers import score
from anyscope.reports.page import Page, Section
from anyscope.reports.palette import PREDICTION, REFERENCE
from anyscope.reports.tiles import Strip, css
from anyscope.running.ledger import Cell

_LONGEST_OPEN = 8
_OUTLINES = ((css(REFERENCE), "reference"), (css(PREDICTION), "prediction"))


@dataclass(frozen=True)
class AssayPictures:
    """Pictures of one image under the conditions of an assay.

    Args:
        model: The network whose predictions are shown.
        image: The image.
        corruptions: One strip for each corruption, its tiles by severity.
        attacks: One strip for each attack.
        notes: What is missing, and why.
    """

    model: str = ""
    image: str = ""
    corruptions: tuple[Strip, ...] = ()
    attacks: tuple[Strip, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssayReport:
    """What the report of an assay shows.

    Args:
        title: Heading of the page.
        scores: Scores of the masks.
        objects: Scores of the objects, None where the labels tell none apart.
        findings: Recommendation and remarks in words.
        failures: Cells that failed.
        pictures: Pictures of the degradation.
        attack_steps: Steps of iterated attacks, None for the default of each.
        learned: Records of universal perturbations; see :func:`anyscope.reports.attack_tables.universal_table`.
        gains: What robust training gained, where runs can be compared.
        settings: The settings of the assay, nested as in its settings.yaml.
        environment: Versions, device and the like.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again.
    """

    title: str
    scores: AssayScores
    objects: AssayScores | None
    findings: Findings
    failures: Sequence[Cell] = ()
    pictures: AssayPictures = AssayPictures()
    attack_steps: int | None = None
    learned: Sequence[Mapping[str, object]] = ()
    gains: Sequence[Gain] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


def assay_report(report: AssayReport) -> str:
    """The report of an assay as one HTML document."""
    return assay_page(report).html()


def assay_page(report: AssayReport) -> Page:
    """The report of an assay as a page, to which sections can be added."""
    alarms = (*assay_alarms(report.scores, report.failures), *alarms_of(report.notes))
    sections = [
        _ranking(report),
        *_gains(report),
        _maps(report),
        *_curves(report.scores),
        *_pictures(report.pictures),
        *_attacks(report),
        _findings(report),
        _making(report),
    ]
    version = report.environment.get("anyscope")
    if version is None and isinstance(packages := report.environment.get("packages"), Mapping):
        version = packages.get("anyscope")
    footer = f"Written by anyscope{f' {version}' if version else ''}. This page is one file and needs no network."
    top: tuple[Block, ...] = (*_key_numbers(report.scores), *alarms)
    return Page(report.title, report.findings.recommendation, tuple(sections), top, footer)


def _key_numbers(scores: AssayScores) -> tuple[KeyNumbers, ...]:
    """The numbers of the best model, and on how much they stand."""
    best = ranking_order(scores)[0]
    if not scores.eligible[best]:
        return ()
    name, measure = scores.models[best], NAMES[scores.tally.measure]
    entries = [(score(scores.clean[best]), f"{measure}, clean", name)]
    corruptions, attacks = scores.names("corruption"), scores.names("attack")
    if corruptions:
        low, high = interval(scores.mean_over(corruptions, scores.draws)[:, best])
        remark = f"{name}, 95 %: {score(float(low))} to {score(float(high))}"
        entries.append((score(scores.corrupted[best]), f"mean of {_count(corruptions, 'corruption')}", remark))
        worst = scores.worst[1][best]
        entries.append((score(scores.worst[0][best]), "worst corruption", "" if worst is None else worst.key))
    if attacks and np.isfinite(scores.attacked[best]):
        entries.append((score(scores.attacked[best]), f"mean of {_count(attacks, 'attack')}", ", ".join(attacks)))
    if scores.shifts:
        entries.append((score(scores.shifted[best]), "other data", ", ".join(scores.shifts)))
    cells = int(np.isfinite(scores.tally.counts).all(axis=(3, 4)).sum())
    cells += sum(int(np.isfinite(one.counts).all(axis=(3, 4)).sum()) for one in scores.shifts.values())
    remark = f"{_count(scores.models, 'model')}, {_count(scores.conditions, 'condition')}, {cells:,} cells"
    entries.append((str(len(scores.tally.images)), "images", remark))
    return (KeyNumbers(tuple(entries)),)


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _measures(report: AssayReport) -> list[tuple[str, AssayScores]]:
    named = [("Masks", report.scores)]
    return named if report.objects is None else [*named, ("Objects", report.objects)]


def _ranking(report: AssayReport) -> Section:
    blocks: list[Block] = []
    for _, scores in _measures(report):
        blocks += [ranking_table(scores), Plots((ranking_plot(scores),), size="wide")]
    lead = (
        "Absolute scores; a ratio never stands alone. Equal ranks (=) are models that these images do not tell apart."
    )
    return Section("Ranking", tuple(blocks), lead)


def _gains(report: AssayReport) -> list[Section]:
    if not report.gains:
        return []
    lead = (
        "Runs of the same network, trained for as many steps on the same data with and without robust training. "
        "Adversarial training costs more passes in each step. Held-out kinds of corruption were never drawn."
    )
    return [Section("What robust training gained", (gain_table(report.gains),), lead)]


def _maps(report: AssayReport) -> Section:
    blocks: list[Block] = [block for _, scores in _measures(report) for block in heat_maps(scores)]
    tables = [series_table(scores) for _, scores in _measures(report) if scores.series]
    lead = "Models by rank, degradation by family. Dark is low, bright is high; a dash is what was not measured."
    return Section("Where each model fails", (*blocks, *tables), lead)


def _curves(scores: AssayScores) -> list[Section]:
    corruptions, attacks = severity_curves(scores), attack_curves(scores)
    if not corruptions and not attacks:
        return []
    legend = LineLegend(tuple((line, name) for name, line in model_styles(scores).items()))
    blocks: list[Block] = [legend]
    if corruptions:
        blocks.append(Plots(tuple(corruptions.values()), size="small"))
    if attacks:
        caption = (
            "Score against the size of the attack. Dashed black: random noise of the same size, mean of all models."
        )
        blocks.append(Plots(tuple(attacks.values()), caption, "small"))
    lead = f"{NAMES[scores.tally.measure]} against severity. The lines are the same in all panels."
    if len(scores.models) <= 4:
        lead += " Bands are 95 % intervals over images."
    return [Section("How fast it fails", tuple(blocks), lead)]


def _pictures(pictures: AssayPictures) -> list[Section]:
    notes: tuple[Block, ...] = alarms_of(pictures.notes)
    if not pictures.corruptions and not notes:
        return []
    lead = ""
    blocks: tuple[Block, ...] = ()
    if pictures.corruptions:
        lead = (
            f"A part of {pictures.image}, the image whose clean score is nearest the median, as {pictures.model} is "
            "given it: grey values are not stretched. In the corner is the score of the whole image. Select a picture "
            "to enlarge it."
        )
        blocks = (Strips("", pictures.corruptions, _OUTLINES),)
    return [Section("What the corruptions do", (*blocks, *notes), lead)]


def _attacks(report: AssayReport) -> list[Section]:
    doubts = attack_doubts(report.scores)
    blocks: list[Block] = []
    lead = ""
    if report.pictures.attacks:
        lead = (
            f"The same part of {report.pictures.image}, attacked with full knowledge of {report.pictures.model}. The "
            "perturbation is amplified around mid grey; the factor stands beneath it."
        )
        blocks.append(Strips("", report.pictures.attacks, _OUTLINES))
    blocks += strong_blocks(report.scores, report.learned)
    if doubts:
        caption = "Signs that an attack found less than there is"
        rows = tuple(tuple(doubt) for doubt in doubts)
        blocks.append(DataTable(caption, ("Model", "Attack", "Sign"), rows, collapsed=len(rows) > _LONGEST_OPEN))
    elif report.scores.names("attack"):
        text = (
            "No attack shows a sign of failure: scores fall with epsilon, and the attack does better than random noise "
            "of the same size."
        )
        blocks.append(Text((text,)))
    return [Section("Attacks", tuple(blocks), lead)] if blocks else []


def _findings(report: AssayReport) -> Section:
    blocks: list[Block] = [Text(report.findings.remarks)] if report.findings.remarks else []
    scores = report.scores
    plots: list[Plot] = []
    clean = np.where(scores.eligible & (scores.clean > 0), scores.clean, np.nan)
    pairs: tuple[tuple[RankCorrelation | None, str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], ...] = (
        (scores.corruption_and_attack, "left under attack", scores.attacked),
        (scores.synthetic_and_real, "left on other data", scores.shifted),
    )
    for found, label, values in pairs:
        if found is not None and found.models >= 2:
            first = ("left under corruption (score / clean)", scores.corrupted / clean)
            plots.append(scatter(scores, first, (f"{label} (score / clean)", values / clean), _heading(found)))
    shares = {name: share for name, share in scores.shares.items() if np.isfinite(share)}
    if shares:
        plots.append(share_bars(shares, "What tells models apart"))
    if len(scores.shares_of_families) > 1 and shares:
        plots.append(share_bars(scores.shares_of_families, "The same by family"))
    if plots:
        blocks.append(Plots(tuple(plots), size="wide"))
    if not blocks:
        blocks.append(Text(("One model under these conditions: there is nothing to compare.",)))
    return Section("Findings", tuple(blocks))


def _heading(found: RankCorrelation) -> str:
    if not np.isfinite(found.spearman):
        return f"{found.models} models, too few to correlate"
    return f"Spearman {found.spearman:.2f} [{found.low:.2f}, {found.high:.2f}], {found.models} models"


def _making(report: AssayReport) -> Section:
    blocks: list[Block] = []
    if report.commands:
        blocks.append(Commands(tuple(report.commands), "The same seed on the same machine gives the same numbers."))
    if report.settings:
        blocks.append(Facts.of("Settings", report.settings))
    if report.scores.names("corruption"):
        blocks.append(level_table(report.scores))
    if report.scores.names(*ATTACK_FAMILIES):
        blocks.append(attack_table(report.scores, report.attack_steps))
    blocks.append(definitions(report.scores))
    if report.environment:
        blocks.append(Facts.of("Environment", report.environment, collapsed=True))
    return Section("How it was made", tuple(blocks))
