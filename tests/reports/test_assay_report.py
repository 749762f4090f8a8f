"""The page of an assay, on counts that were made up so that every number is known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from anyscope.assay.conditions import CLEAN, Condition, attack_conditions, suites
from anyscope.assay.findings import find
from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import Tally
from anyscope.reports.assay_alarms import assay_alarms, attack_doubts
from anyscope.reports.assay_figures import attack_curves, model_styles, ranking_order, severity_curves, share_bars
from anyscope.reports.assay_report import AssayPictures, AssayReport, assay_page, assay_report
from anyscope.reports.assay_tables import attack_table, heat_maps, level_table, ranking_table, series_table
from anyscope.reports.blocks import Cell as TableCell
from anyscope.reports.blocks import DataTable
from anyscope.reports.shading import shade
from anyscope.reports.tiles import Strip, Tile, jpeg_uri, outline_path
from anyscope.running.ledger import Cell

from .conftest import HOSTILE
from .outline import Outline
from .test_browser import browse

CONDITIONS = (CLEAN, *suites("contrast,gaussian_noise,photon_loss"), *attack_conditions(["pgd"], [2, 8, 32]))
SECTIONS = [
    "Ranking", "Where each model fails", "How fast it fails", "What the corruptions do", "Attacks", "Findings",
    "How it was made",
]  # fmt: skip


def made_up(models: dict[str, float], images: int = 12, conditions: tuple[Condition, ...] = CONDITIONS) -> AssayScores:
    """Scores of models by their clean score: each severity takes .1 from it, a grey level of an attack .03.

    Every image has 1000 pixels in the union, and one more or less of them is hit in every second one. Otsu is not
    attacked.
    """
    counts = np.zeros((len(models), len(conditions), images, 1, 3))
    for m, (name, clean) in enumerate(models.items()):
        for c, condition in enumerate(conditions):
            lost = {"clean": 0.0, "corruption": 0.1, "attack": 0.03}[condition.kind] * condition.level
            lost = 0.001 * condition.level if condition.name == "random_noise" else lost
            hits = round(1000 * max(0.0, clean - lost)) + np.where(np.arange(images) % 2, 1, -1)
            hits = hits.clip(0, 1000)
            counts[m, c, :, 0] = np.stack([hits, (1000 - hits) // 2, 1000 - hits - (1000 - hits) // 2], axis=1)
            if name == "otsu" and condition.kind == "attack":
                counts[m, c] = np.nan
    names = tuple(f"image{number}" for number in range(images))
    tally = Tally("mask", tuple(models), conditions, names, counts)
    shift = Tally("mask", tuple(models), (Condition("shift", "elsewhere"),), names, counts[:, 1:2])
    return AssayScores(tally, {"elsewhere": shift}, next(iter(models)))


def strip(name: str) -> Strip:
    labels = np.zeros((24, 24), int)
    labels[4:12, 5:15] = 1
    grey = np.full((24, 24), 90, np.uint8)
    outlines = ((outline_path(labels), "rgb(1, 2, 3)"),)
    tile = Tile(jpeg_uri(grey), 24, 24, "severity 1", f"{name} at severity 1", "0.81", outlines)
    return Strip(name, "what it does", (tile, replace(tile, caption="severity 2")))


@pytest.fixture(scope="module")
def scores() -> AssayScores:
    return made_up({"unet": 0.9, HOSTILE: 0.88, "twin": 0.88, "weak": 0.8, "otsu": 0.7})


@pytest.fixture(scope="module")
def report(scores: AssayScores) -> AssayReport:
    return AssayReport(
        title=f"Models on {HOSTILE}",
        scores=scores,
        objects=AssayScores(replace(scores.tally, measure="objects"), {}, "unet"),
        findings=find(scores),
        failures=[Cell(("twin", "contrast@3", "image1"), None, f"RuntimeError: {HOSTILE}")],
        pictures=AssayPictures("unet", HOSTILE, (strip("clean"), strip(HOSTILE)), (strip("pgd"),), (HOSTILE,)),
        attack_steps=3,
        settings={"data": HOSTILE, "seed": 0},
        environment={"packages": {"anyscope": "1.2.3"}},
        notes=[HOSTILE],
        commands=[f"anyscope stress '{HOSTILE}'"],
    )


@pytest.fixture(scope="module")
def html(report: AssayReport) -> str:
    return assay_report(report)


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def cells(table: DataTable, column: str) -> dict[str, object]:
    """A column by model: values of cells, other things as they are."""
    place, names = table.columns.index(column), table.columns.index("Model")
    found = {str(row[names]): row[place] for row in table.rows}
    return {name: cell.value if isinstance(cell, TableCell) else cell for name, cell in found.items()}


def test_sections_in_order(html: str, outline: Outline, report: AssayReport) -> None:
    assert re.findall(r'<h2 id="heading-\d+">([^<]+)</h2>', html) == SECTIONS
    assert len(outline.all("h1")) == 1
    assert report.findings.recommendation in " ".join(outline.text.split())
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert "Written by anyscope 1.2.3" in outline.text


def test_nothing_is_requested(outline: Outline) -> None:
    outline.assert_requests_nothing()


def test_everything_is_escaped(outline: Outline) -> None:
    assert len(outline.all("script")) == 1
    assert outline.all("img") == []
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]
    assert outline.text.count("<script>document.title='owned'</script>") >= 20


def test_page_is_small(html: str) -> None:
    assert len(html.encode()) < 600_000


def test_same_data_same_bytes(report: AssayReport, html: str) -> None:
    assert assay_report(report) == html


def test_ranking_by_hand(scores: AssayScores) -> None:
    table = ranking_table(scores)
    assert [row[1] for row in table.rows] == ["unet", HOSTILE, "twin", "weak", "otsu"]
    assert [row[0].text for row in table.rows if isinstance(row[0], TableCell)] == [
        "1", "2 =", "2 =", "\N{EN DASH}", "\N{EN DASH}",
    ]  # fmt: skip
    # A severity takes .1, so that five of them leave .3 less on average, and .5 less at worst.
    assert cells(table, "Clean") == pytest.approx({"unet": 0.9, HOSTILE: 0.88, "twin": 0.88, "weak": 0.8, "otsu": 0.7})
    expected = {"unet": 0.6, HOSTILE: 0.58, "twin": 0.58, "weak": 0.5, "otsu": 0.4}
    assert cells(table, "Mean corrupted") == pytest.approx(expected)
    assert cells(table, "Worst corruption")["weak"] == pytest.approx(0.3)
    assert cells(table, "Mean CD") == pytest.approx({name: (1 - value) / 0.4 for name, value in expected.items()})
    # .9 less .06, less .24, and nothing left at 32 grey levels but the one pixel of every second image
    assert cells(table, "Mean attacked")["unet"] == pytest.approx((0.84 + 0.66 + 0.0005) / 3)
    assert cells(table, "Mean attacked")["otsu"] is None
    assert cells(table, "Other data")["unet"] == pytest.approx(0.8)
    (note,) = [row[3].note for row in table.rows if row[1] == "unet" and isinstance(row[3], TableCell)]
    assert re.fullmatch(r"67 %, 0\.(599|600) to 0\.60[01]", note)


def test_numbers_of_the_page_are_the_scores(html: str, scores: AssayScores) -> None:
    head = html[html.index("Ranking</h2>") :]
    rows = re.findall(r"<tr>\s*<td class=\"number\"[^>]*>[^<]*</td>(.*?)</tr>", head, re.DOTALL)
    values = [float(value) for value in re.findall(r'data-value="([^"]+)"', rows[0])]
    best = ranking_order(scores)[0]
    assert values[0] == scores.clean[best]
    assert values[1] == scores.corrupted[best]
    assert values[2] == scores.mean_degradation[best]


def test_heat_map(scores: AssayScores, html: str) -> None:
    (heat,) = heat_maps(scores)
    assert heat.columns[:2] == ("clean", "mean corrupted")
    assert heat.columns[-1] == "elsewhere"
    assert sum(count for _, count in heat.groups) == len(heat.columns)
    assert [title for title, _ in heat.groups] == ["", "digital", "fluorescence", "attack", "control", "other data"]
    assert [name for name, _ in heat.rows] == [scores.models[m] for m in ranking_order(scores)]
    for name, shades in heat.rows:
        m = scores.models.index(name)
        for column, cell in zip(heat.columns[2:-1], shades[2:-1], strict=True):
            mean = np.mean([scores.of(condition)[m] for condition in scores.series[column]])
            assert (cell.text if cell else "nan") == f"{mean:.2f}"
    attacked = [cell for name, row in heat.rows if name == "otsu" for cell in row]
    assert attacked.count(None) == 2
    assert html.count('class="heat-map"') == 2  # masks and objects


def test_many_series_make_several_maps() -> None:
    scores = made_up({"a": 0.9, "b": 0.8}, 3, (CLEAN, *suites("fluorescence,digital")))
    maps = heat_maps(scores)
    assert len(maps) > 1
    assert all(heat.columns[0] == "clean" and len(heat.columns) <= 22 for heat in maps)
    shown = [name for heat in maps for name in heat.columns[2:]]
    assert sorted(shown) == sorted([*scores.series, "elsewhere"])


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_shades_are_legible_and_grow_lighter() -> None:
    shades = [cell for value in np.linspace(0, 1, 101) if (cell := shade(float(value)))]
    light = [_luminance(cell.ground) for cell in shades]
    assert all(first <= second for first, second in pairwise(light))
    for cell, ground in zip(shades, light, strict=True):
        ink = _luminance(cell.ink)
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast >= 4.5  # WCAG 2, level AA
    assert shade(float("nan")) is None


def test_series_in_numbers(scores: AssayScores) -> None:
    table = series_table(scores)
    row = next(row for row in table.rows if row[:2] == ("weak", "contrast"))
    # Straight from .8 to .3: the area is .55. 1 - score is .3 .4 .5 .6 .7 against .2 to .6 of unet;
    # both lose .1 a step.
    assert row[4] == pytest.approx(0.55)
    assert row[5] == pytest.approx(2.5 / 2.0)
    assert row[6] == pytest.approx(1.0)


def test_curves(scores: AssayScores) -> None:
    curves = severity_curves(scores)
    assert list(curves) == ["contrast", "gaussian_noise", "photon_loss"]
    assert "unet 0.900 to 0.400" in curves["contrast"].alt
    ticks = " ".join(ElementTree.fromstring(curves["contrast"].svg).itertext()).split()
    assert ticks[:6] == ["clean", "1", "2", "3", "4", "5"]
    attacks = attack_curves(scores)
    assert list(attacks) == ["pgd"]
    assert "otsu" not in attacks["pgd"].alt
    assert "var(--ink, #1c2126)" in attacks["pgd"].svg  # the control
    assert next(iter(model_styles(scores))) == "unet"
    assert len(set(model_styles(scores).values())) == 5


def test_shares_beyond_twelve_are_one_bar() -> None:
    plot = share_bars({f"c{number}": 0.05 for number in range(20)}, "Shares")
    assert "8 others 40 %" in plot.alt


def test_parameters(scores: AssayScores) -> None:
    rows = [row for row in level_table(scores).rows if row[0] == "contrast"]
    # Hendrycks and Dietterich, ICLR 2019
    assert [cell.value for cell in rows[0][4:] if isinstance(cell, TableCell)] == [0.4, 0.3, 0.2, 0.1, 0.05]
    pgd, control = attack_table(scores, 3).rows
    assert pgd[0] == "pgd"
    assert pgd[4] == "2, 8, 32"
    assert "steps 3" in str(pgd[5])
    assert control[5] == "none"


def test_alarms(scores: AssayScores) -> None:
    few = made_up({"unet": 0.9, "weak": 0.8}, 3)
    few.tally.counts[1, 0, 0] = [0, 0, 900]
    few.tally.counts[0, 3, :2] = [0, 0, 900]
    failures = [Cell(("weak", f"contrast@{level}", "image1"), None, "out of memory") for level in (1, 2)]
    alarms = {alarm.title: alarm for alarm in assay_alarms(few, failures)}
    assert alarms["failed cells of weak"].text.startswith("2 cells of weak failed, under contrast@1, contrast@2.")
    assert "2 times: out of memory" in alarms["failed cells of weak"].text
    assert "1 of 3 of weak" in alarms["empty predictions of clean images"].text
    # weak has a score of .8 - .96 = 0 at 32 grey levels, but one pixel in every second image
    assert "unet in 2 of " in alarms["empty predictions"].text
    assert "weak" in alarms["not ranked"].text
    assert "3 images" in alarms["few images"].text
    assert [alarm.level for alarm in assay_alarms(few, failures)][:2] == ["danger", "danger"]
    assert "few images" not in {alarm.title for alarm in assay_alarms(scores, [])}


def test_incomplete_models_are_named() -> None:
    scores = made_up({"unet": 0.9, "cut": 0.9}, 12)
    scores.tally.counts[1, 4, 2] = np.nan
    (alarm,) = [alarm for alarm in assay_alarms(scores, []) if alarm.title == "not ranked, incomplete"]
    assert "cut" in alarm.text
    text = Outline(assay_report(AssayReport("cut", scores, None, find(scores)))).text
    assert "cut (not ranked)" in text


def test_attacks_that_fail_are_named(scores: AssayScores) -> None:
    assert attack_doubts(scores) == ()
    broken = made_up({"unet": 0.9, "masked": 0.9})
    for level in (2, 8, 32):
        place = CONDITIONS.index(Condition("attack", "pgd", level))
        broken.tally.counts[1, place] = broken.tally.counts[1, 0]  # the attack does nothing
    doubts = attack_doubts(broken)
    assert {(doubt.model, doubt.attack) for doubt in doubts} == {("masked", "pgd")}
    page = assay_page(AssayReport("masked", broken, None, find(broken)))
    assert "attacks that may have failed" in page.html()
    assert "misses what is there" in page.html()


def test_clean_alone_is_enough() -> None:
    scores = made_up({"unet": 0.9}, 12, (CLEAN,))
    bare = AssayScores(scores.tally, {}, "unet")
    html = assay_report(AssayReport("bare", bare, None, find(bare)))
    assert "Nothing is known of its robustness" in Outline(html).text
    assert "How fast it fails" not in html
    assert "What the corruptions do" not in html


def test_notes_stand_where_pictures_are_missing(scores: AssayScores) -> None:
    pictures = AssayPictures(notes=("There are no pictures: gone",))
    text = Outline(assay_report(AssayReport("x", scores, None, find(scores), pictures=pictures))).text
    assert "There are no pictures: gone" in text


FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="border:0;width:%dpx;height:800px"></iframe><pre id="out"></pre>
<script type="application/json" id="source">%s</script>
<script>
const frame = document.getElementById("page");
frame.addEventListener("load", () => {
  const inner = frame.contentDocument;
  for (const details of inner.querySelectorAll("details")) details.open = true;
  const root = inner.documentElement;
  const result = {width: frame.contentWindow.innerWidth, scrollWidth: root.scrollWidth};
  const head = inner.querySelector("table[data-sortable] th:nth-child(3) button");
  head.click();
  const rows = [...inner.querySelector("table[data-sortable]").tBodies[0].rows];
  result.models = rows.map((row) => row.cells[1].textContent);
  const open = inner.querySelectorAll("button.open");
  result.pictures = open.length;
  open[0].click();
  result.zoomed = inner.querySelector("dialog p").textContent;
  inner.querySelector("dialog").click();
  const shades = [...inner.querySelectorAll(".heat-map tbody td")].map((cell) => cell.getBoundingClientRect());
  result.narrowest = Math.min(...shades.map((box) => box.width));
  document.getElementById("out").textContent = JSON.stringify(result);
});
frame.srcdoc = JSON.parse(document.getElementById("source").textContent);
</script>"""


@pytest.mark.parametrize("width", [1280, 360])
def test_in_a_browser(html: str, tmp_path: Path, width: int) -> None:
    page = tmp_path / "frame.html"
    page.write_text(FRAME % (width, json.dumps(html).replace("<", "\\u003c")), encoding="utf-8")
    document, console = browse(page, tmp_path / "profile", "--window-size=1400,900")
    assert console == []
    result = json.loads(unescape(document.partition('<pre id="out">')[2].partition("</pre>")[0]))
    assert result["width"] == width
    assert result["scrollWidth"] <= width
    assert result["models"] == ["otsu", "weak", HOSTILE, "twin", "unet"]
    assert result["pictures"] == 6
    assert "severity 1" in result["zoomed"]
    assert result["narrowest"] >= 30
