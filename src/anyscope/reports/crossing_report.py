"""The report of a crossing, from its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anyscope.crossings.summary import ORACLE, SMALL_GAP
from anyscope.reports.blocks import (
    Alarm,
    Block,
    Commands,
    DataTable,
    Facts,
    KeyNumbers,
    Plots,
    Points,
    Text,
    alarms_of,
)
from anyscope.reports.crossing_figures import gain_plot, recovery_plot
from anyscope.reports.crossing_findings import HARM, Crossed, arrow, findings, headline
from anyscope.reports.crossing_tables import (
    failure_table,
    gain_maps,
    main_map,
    pair_table,
    recovery_table,
    regret_table,
    small_pairs,
)
from anyscope.reports.page import Page, Section
from anyscope.running.ledger import Cell

_MANY_PAIRS = 6


@dataclass(frozen=True)
class CrossingReport:
    """What the report of a crossing shows.

    Args:
        title: Heading of the page.
        crossed: Its numbers.
        seeds: How many seeds were asked for.
        failures: Cells that failed.
        left: How many cells are still to be done.
        settings: The settings of the crossing, nested as in its settings.yaml.
        environment: Versions, device and the like.
        warnings: What the adaptations warned of: what, and how often.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again.
    """

    title: str
    crossed: Crossed
    seeds: int = 1
    failures: Sequence[Cell] = ()
    left: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[tuple[str, int]] = ()
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


def crossing_report(report: CrossingReport) -> str:
    """The report of a crossing as one HTML document."""
    return crossing_page(report).html()


def crossing_page(report: CrossingReport) -> Page:
    """The report of a crossing as a page, to which sections can be added."""
    top: tuple[Block, ...] = (*_alarms(report), *alarms_of(report.notes), *_key_numbers(report.crossed))
    sections = [
        _findings(report.crossed),
        _scores(report.crossed),
        *_recovered(report.crossed),
        *_selection(report.crossed),
        *_small(report.crossed),
        *_trouble(report),
        _making(report),
    ]
    version = report.environment.get("anyscope")
    if version is None and isinstance(packages := report.environment.get("packages"), Mapping):
        version = packages.get("anyscope")
    footer = f"Written by anyscope{f' {version}' if version else ''}. This page is one file and needs no network."
    return Page(report.title, headline(report.crossed), tuple(sections), top, footer)


def _alarms(report: CrossingReport) -> tuple[Alarm, ...]:
    alarms = []
    if report.failures:
        count = len(report.failures)
        text = f"{count} cell{' has' if count == 1 else 's have'} failed; numbers are those of the others."
        alarms.append(Alarm("failed cells", text, "danger"))
    if report.left:
        text = f"{report.left} cells are still to be done: the same command with --resume goes on."
        alarms.append(Alarm("not finished", text))
    if report.seeds < 3:
        word = "one seed" if report.seeds == 1 else f"{report.seeds} seeds"
        text = f"With {word} differences of a few hundredths may be chance; three or more tell (--seeds)."
        alarms.append(Alarm("few seeds", text, "note"))
    return tuple(alarms)


def _key_numbers(crossed: Crossed) -> tuple[KeyNumbers, ...]:
    ranked = crossed.ranked
    if not ranked:
        return ()
    best, oracle = crossed.recovery(ranked[0]), crossed.recovery(ranked[0], rule=ORACLE)
    assert best is not None
    assert best.recovered is not None
    entries = [(f"{best.recovered:.0%}", "of the gap recovered", f"{ranked[0]}, {best.pairs} pairs, pooled")]
    sliced = crossed.recovery(ranked[0], "per_slice")
    if sliced is not None and sliced.recovered is not None:
        entries.append((f"{sliced.recovered:.0%}", "per slice", ranked[0]))
    if oracle is not None and oracle.recovered is not None:
        entries.append((f"{oracle.recovered:.0%}", "with the best candidates", "what selection could reach at most"))
    entries.append((f"{best.worst:+.3f}", "worst gain", arrow(best.worst_pair)))
    regret = crossed.regret(crossed.rule)
    if regret is not None:
        entries.append((f"{regret:.3f}", f"lost by {crossed.rule}", "to the best candidates, mean of all methods"))
    return (KeyNumbers(tuple(entries)),)


def _findings(crossed: Crossed) -> Section:
    sentences = findings(crossed)
    if not sentences:
        return Section("Findings", (Text(("Too little has been done to say anything.",)),))
    return Section("Findings", (Points("", sentences),))


def _scores(crossed: Crossed) -> Section:
    ranked = crossed.ranked
    method = ranked[0] if ranked else next(iter(crossed.adapting), None)
    blocks: list[Block] = []
    if crossed.pairs:
        blocks += [main_map(crossed, method), main_map(crossed, method, "per_slice")]
    blocks += gain_maps(crossed) if crossed.adapting and crossed.pairs else []
    pairs = crossed.pairs
    caption = f"All scores, pooled; beneath them the mean over slices; selection {crossed.rule}"
    blocks.append(pair_table(crossed, pairs, caption, collapsed=len(pairs) > _MANY_PAIRS))
    lead = (
        "No adaptation is what one does who does not think of another domain: the candidate is chosen on the source. "
        "Own labels is training on labels of the target. Bright is high; orange is worse, blue better than without."
    )
    return Section("Scores", tuple(blocks), lead)


def _recovered(crossed: Crossed) -> list[Section]:
    if not any(crossed.recovery(method) for method in crossed.methods):
        return []
    plots = tuple(plot for plot in (recovery_plot(crossed), gain_plot(crossed)) if plot is not None)
    blocks: list[Block] = [Plots(plots, size="wide")] if plots else []
    blocks.append(recovery_table(crossed))
    lead = (
        f"The sum of gains over the sum of gaps, of the pairs with a gap of {SMALL_GAP} or more. Gains are between "
        f"trainings of the same seed. Ringed is the worst pair, orange where it loses more than {HARM}."
    )
    return [Section("What is recovered", tuple(blocks), lead)]


def _selection(crossed: Crossed) -> list[Section]:
    if all(crossed.regret(rule) is None for rule in crossed.rules):
        return []
    lead = (
        "Rules choose a candidate without labels of the target; here the labels say what that cost. The best candidate "
        "is chosen on the test part itself, so that it is a little too good."
    )
    return [Section("What selection costs", (regret_table(crossed),), lead)]


def _small(crossed: Crossed) -> list[Section]:
    pairs = small_pairs(crossed)
    if not pairs:
        return []
    lead = "Without adaptation these are nearly as good as own labels, or better. A method can only do harm here."
    table: DataTable = pair_table(crossed, pairs, f"Pairs with a gap under {SMALL_GAP}, pooled; beneath per slice")
    return [Section("Pairs with little to recover", (table,), lead)]


def _trouble(report: CrossingReport) -> list[Section]:
    blocks: list[Block] = [failure_table(report.failures)] if report.failures else []
    if report.warnings:
        rows = tuple((text, count) for text, count in report.warnings)
        blocks.append(DataTable("Warnings of the adaptations", ("Warning", "Cells"), rows, collapsed=len(rows) > 8))
    return [Section("Failures and warnings", tuple(blocks))] if blocks else []


def _making(report: CrossingReport) -> Section:
    crossed = report.crossed
    short: dict[str, object] = {
        "datasets": crossed.data,
        "methods": crossed.methods,
        "seeds": report.seeds,
        "pairs": ", ".join(map(arrow, crossed.pairs)),
        "selection": crossed.rule,
    }
    blocks: list[Block] = []
    if report.commands:
        blocks.append(Commands(tuple(report.commands), "The same seeds on the same machine give the same numbers."))
    blocks.append(Facts.of("In short", short))
    if report.settings:
        blocks.append(Facts.of("Settings", report.settings, collapsed=True))
    if report.environment:
        blocks.append(Facts.of("Environment", report.environment, collapsed=True))
    return Section("How it was made", tuple(blocks))
