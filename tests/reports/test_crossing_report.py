"""The page of a crossing, on results that were made up so that every number is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from anyscope.adaptation.selection import RULES
from anyscope.crossings.plan import CEILING, CrossCell
from anyscope.crossings.summary import summarise
from anyscope.reports.crossing_figures import gain_plot, recovery_plot
from anyscope.reports.crossing_findings import Crossed, findings, headline
from anyscope.reports.crossing_report import CrossingReport, crossing_page, crossing_report
from anyscope.reports.crossing_tables import gain_maps, gain_shade, main_map, recovery_table, regret_table, small_pairs
from anyscope.running.ledger import Cell
from anyscope.workflows.cross_report import gains

from .conftest import HOSTILE
from .outline import Outline
from .test_adaptation_report import seen

DATA = ("a", "b", "c")
FLOORS = {("a", "b"): 0.4, ("b", "a"): 0.5, ("a", "c"): 0.88, ("c", "a"): 0.6, ("b", "c"): 0.6, ("c", "b"): 0.7}
CEILINGS = {"a": 0.9, "b": 0.8, "c": 0.9}


def result(taken: float, best: float, last: float) -> dict[str, Any]:
    """A cell of three candidates: the default rule takes the first, the last rule the last, others the best."""
    choices = {**dict.fromkeys(RULES, 1), "combined": 0, "last": 2}
    pooled = [taken, best, last]
    return {"pooled": pooled, "per_slice": [value - 0.1 for value in pooled], "choices": choices}


def crossed(
    lifts: dict[str, float], *, data: Sequence[str] = DATA, seeds: Sequence[int] = (0,), missing: Sequence[str] = ()
) -> Crossed:
    """A crossing in which each method recovers the same part of each gap, with a best candidate .02 above."""
    names = dict(zip(data, DATA, strict=False))
    results = {}
    for seed in seeds:
        for name in data:
            high = CEILINGS[names[name]]
            results[CrossCell(name, name, CEILING, seed)] = result(high, high, high)
        for method, lift in lifts.items():
            for source, target in permutations(data, 2):
                low = FLOORS[names[source], names[target]]
                value = low + lift * (CEILINGS[names[target]] - low)
                if method == "none":
                    value = low
                best = value if method == "none" else value + 0.02
                if f"{source}{target}{method}" not in missing:
                    results[CrossCell(source, target, method, seed)] = result(value, best, value - 0.05)
    methods = tuple(lifts)
    summary = summarise(results, (*methods, CEILING), list(RULES))
    return Crossed(summary, methods, tuple(data), "combined", tuple(RULES), gains(results, "combined"))


@pytest.fixture(scope="module")
def numbers() -> Crossed:
    return crossed({"none": 0, "good": 0.5, "bad": -0.19})


@pytest.fixture(scope="module")
def html() -> str:
    hostile = crossed({"none": 0, f"m{HOSTILE}": 0.5, "b": 0.1}, data=(f"a{HOSTILE}", "b", "c"), seeds=(0, 1))
    failures = [Cell((HOSTILE, "b", "x", "0"), None, f"ran out of {HOSTILE}")]
    return crossing_report(
        CrossingReport(
            title=HOSTILE, crossed=hostile, seeds=2, failures=failures, left=3, settings={HOSTILE: HOSTILE},
            environment={"packages": {"anyscope": "1.2.3"}}, warnings=((HOSTILE, 2),), notes=[HOSTILE],
            commands=[f"anyscope cross '{HOSTILE}'"],
        )
    )  # fmt: skip


def test_sections_and_structure(html: str) -> None:
    outline = Outline(html)
    outline.assert_requests_nothing()
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", html) == [
        "Findings", "Scores", "What is recovered", "What selection costs", "Pairs with little to recover",
        "Failures and warnings", "How it was made",
    ]  # fmt: skip
    assert "3 cells are still to be done" in outline.text
    assert "1 cell has failed" in outline.text
    assert html.index("alarm-danger") < html.index('class="key-numbers"')


def test_everything_is_escaped(html: str) -> None:
    assert "<img src=x" not in html
    assert len(re.findall(r"<script", html)) == 1


def test_same_data_same_bytes(numbers: Crossed) -> None:
    report = CrossingReport("x", numbers)
    assert crossing_report(report) == crossing_report(
        CrossingReport("x", crossed({"none": 0, "good": 0.5, "bad": -0.19}))
    )


def test_the_words_are_those_of_the_numbers(numbers: Crossed) -> None:
    assert numbers.ranked == ("good", "bad")
    assert headline(numbers) == (
        "good recovers most: 50% of the gap over 5 pairs, and makes no pair worse by more than 0.02."
    )
    methods, harms, selection, small = findings(numbers)
    assert "good 50%, bad -19% (pooled, selection combined)" in methods
    # The largest gaps are .4, of a to b and of b to a: 19 % of that is .076. Others lose .057, .057, .019.
    assert "bad makes a to b worse by 0.076 and 3 more. good: none." in harms
    # The floor loses nothing, the two methods .02 each under the default and .07 under the last one.
    assert "(0.000 on average over all methods), last most (0.063); the default, combined, 0.013." in selection
    assert small == "Left out of the recovered gap, since it is under 0.05: a to c."
    assert small_pairs(numbers) == (("a", "c"),)


def test_tables(numbers: Crossed) -> None:
    table = main_map(numbers, "good")
    rows = dict(table.rows)
    assert table.groups == (("no adaptation", 3), ("good", 3))
    assert [shade and shade.text for shade in rows["a"]] == [None, "0.40", "0.88", None, "0.60", "0.89"]
    assert [shade and shade.text for shade in rows["own labels"]] == ["0.90", "0.80", "0.90"] * 2
    (gained,) = gain_maps(numbers)
    assert dict(gained.rows)["a to b"][0].text == "+0.20"
    assert dict(gained.rows)["a to b"][1].text == "\N{MINUS SIGN}0.08"
    good, bad, none = recovery_table(numbers).rows
    assert [cell.text for cell in good[1:]] == ["50%", "50%", "57%", "5", "+0.010", "+0.010", "0"]
    assert good[5].note == "a to c"
    assert [cell.text for cell in bad[6:]] == ["-0.076", "4"]
    assert none[0] == "none (no adaptation)"
    table = regret_table(numbers)
    assert table.columns[1] == "source-validation"
    assert table.columns[-2:] == ("combined (default)", "last")
    assert [row[-1].text for row in table.rows] == ["0.063", "0.050", "0.070", "0.070"]


def test_per_slice_stands_beside_pooled(numbers: Crossed) -> None:
    pooled, sliced = (main_map(numbers, "good", measure) for measure in ("pooled", "per_slice"))
    for (_, first), (_, second) in zip(pooled.rows, sliced.rows, strict=True):
        for one, other in zip(first, second, strict=True):
            assert one is None or float(one.text) - float(other.text) == pytest.approx(0.1, abs=0.011)


def test_figures(numbers: Crossed) -> None:
    assert recovery_plot(numbers).alt == "Share of the gap that is recovered, pooled: good 50%, bad -19%."
    assert "bad -0.076 at worst (a to b)" in gain_plot(numbers).alt


def test_colours_of_gains_can_be_read() -> None:
    """The text on every colour has a contrast of 4.5 or more (WCAG 2 AA)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for gain in range(-50, 51):
        shade = gain_shade(gain / 100)
        low, high = sorted((luminance(shade.ground), luminance(shade.ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, shade


def test_two_seeds_have_a_spread() -> None:
    text = Outline(crossing_report(CrossingReport("x", crossed({"none": 0, "m": 0.5}, seeds=(0, 1)), seeds=2))).text
    assert "0.600 ± 0.000" in text
    assert "With 2 seeds" in text


def test_gains_are_between_the_same_seeds() -> None:
    floor, method = result(0.5, 0.5, 0.5), result(0.6, 0.6, 0.6)
    results = {CrossCell("a", "b", "none", 0): floor, CrossCell("a", "b", "m", 0): method}
    results[CrossCell("a", "b", "none", 1)] = result(0.1, 0.1, 0.1)
    assert gains(results, "combined")["a", "b", "m", "pooled"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (crossed({"none": 0}), "none but the floor was carried out"),
        (crossed({"none": 0, "m": 0.5}, data=("a",)), "no pair has scores"),
        (crossed({"none": 0, "m": -0.5}), "No method recovers anything"),
        (crossed({"m": 0.5}), "no pair has scores of a method, of the floor"),
        (crossed({"none": 0, "m": 0.5}, missing=["abm", "bam", "cam", "bcm", "cbm"]), "there is nothing to recover"),
    ],
)
def test_little_was_done(numbers: Crossed, words: str) -> None:
    page = crossing_page(CrossingReport("x", numbers))
    assert words in page.lead
    Outline(page.html()).assert_requests_nothing()


@pytest.mark.parametrize("width", [1280, 360])
def test_in_a_browser(html: str, tmp_path: Path, width: int) -> None:
    result = seen(html, width, tmp_path)
    assert result["width"] == width
    assert result["scrollWidth"] <= width
