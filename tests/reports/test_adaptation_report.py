"""The page of an adaptation, on documents that were made up."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from anyscope.reports.adaptation_figures import candidate_plots, choice_plot, loss_plots, scale_plot
from anyscope.reports.adaptation_findings import adaptation_alarms, verdict
from anyscope.reports.adaptation_report import AdaptationReport, adaptation_page, adaptation_report
from anyscope.reports.adaptation_steps import StepView, read_steps
from anyscope.reports.adaptation_tables import (
    rule_table,
    scale_table,
    step_table,
    term_map,
    transfer_facts,
    translation_table,
)
from anyscope.reports.blocks import Cell
from anyscope.workflows.tables import adaptation_table

from .adaptations import (
    document,
    judgement,
    learning_step,
    plain_step,
    scale_findings,
    scenes,
    traits,
    translation_findings,
)
from .conftest import HOSTILE
from .outline import Outline
from .test_browser import browse

GOOD = [judgement(1, 0.99, score=0.3), judgement(2, 0.3, score=0.7), judgement(3, 0.11, score=0.8)]
METRICS = [{"epoch": epoch, "step": epoch, "train_loss": 1 / epoch, "learning_rate": 0.1} for epoch in (1, 2, 3)]


def one_step(judgements: list, **changes: object) -> StepView:
    return read_steps(document([learning_step(judgements)], **changes))[0]


@pytest.fixture(scope="module")
def report() -> AdaptationReport:
    """All steps that have something of their own to show, with hostile names wherever a name can come from outside."""
    transfer = {"loaded": ["encoder.a", "decoder.b"], "missing": ["head.w"], "unexpected": [HOSTILE],
                "other_shape": [{"tensor": "head.b", "in_file": [1], "here": [2]}], "file": "x"}  # fmt: skip
    style = learning_step([judgement(0, 0.11), judgement(2, 0.12)], "style", "refinement", 5)
    style["findings"] = {"alarms": ["epoch 2"], "epochs": {"1": translation_findings(), "2": translation_findings(0.5)}}
    # The translator after two epochs is taken.
    style["choices"]["combined"] |= {"index": 1, "epoch": 2}
    steps = [
        plain_step("histogram", "appearance", 1),
        plain_step("pretrain", "pretraining", 2, {"transfer": transfer, "frozen": ["encoder.a"], "alarms": []}),
        learning_step(GOOD, number=3),
        plain_step("rescale", "scale", 4, scale_findings()),
        style,
    ]
    found = document(steps, source=HOSTILE, target=f"b{HOSTILE}", differences=[HOSTILE])
    patches = np.zeros((4, 1, 16, 16), np.uint8)
    return AdaptationReport(
        title=f"From {HOSTILE}",
        document=found,
        steps=read_steps(found, {"3-supervised": METRICS, "2-pretrain": METRICS}),
        pictures=scenes(HOSTILE),
        translations={"style": (patches, patches + 90)},
        settings={"train": {"seed": 3}, HOSTILE: HOSTILE},
        environment={"packages": {"anyscope": "1.2.3"}},
        notes=[HOSTILE],
        commands=[f"anyscope adapt '{HOSTILE}'"],
    )


@pytest.fixture(scope="module")
def html(report: AdaptationReport) -> str:
    return adaptation_report(report)


def test_sections_and_structure(html: str) -> None:
    outline = Outline(html)
    outline.assert_requests_nothing()
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", html) == [
        "What was done, and how sure one can be", "How the domains differ", "Before and after", "At which scale",
        "Pretrain", "Candidates of supervised", "Candidates of style", "How it was made",
    ]  # fmt: skip
    assert len(html.encode()) < 1_500_000
    assert all(figure.get("aria-label") for figure in outline.all("figure") if figure.get("role") == "img")
    # Two scenes with their own picture, and four pairs of translated patches.
    assert html.count("data:image/jpeg") == 2 + 8
    assert "Written by anyscope 1.2.3" in outline.text


def test_everything_is_escaped(html: str) -> None:
    assert "<img src=x" not in html
    assert len(re.findall(r"<script", html)) == 1
    assert html.count("&lt;/title&gt;&lt;script&gt;") > 8


def test_same_data_same_bytes(report: AdaptationReport, html: str) -> None:
    assert adaptation_report(report) == html


def test_alarms_come_before_numbers(html: str) -> None:
    assert html.index("alarm-warning") < html.index('class="key-numbers"')
    assert "style may paint what is not there" in html


def test_what_is_invented_is_a_doubt_and_an_alarm(report: AdaptationReport) -> None:
    step = report.steps[-1]
    said = "structure was invented on 50.0% of the area (alarm above 1%)"
    assert any(said in doubt for doubt in verdict(report.document, report.steps).doubts)
    known = {**report.document, "alarms": [f"style: {said}"]}
    (alarm,) = [alarm for alarm in adaptation_alarms(known, report.steps) if said in alarm.text]
    assert alarm.title == "style may paint what is not there"
    first, second = translation_table(step).rows
    assert [cell.text for cell in first[:2]] == ["1", "0.0%"]
    assert [second[0].note, second[1].text, second[-1].text] == ["taken", "50.0%", "1"]


def test_collapsed_candidates_and_choices_are_marked() -> None:
    step = one_step(GOOD)
    assert list(step.collapsed) == [1]
    assert step.chosen == GOOD[2]
    plots = {plot.alt.split(":")[0]: plot for plot in candidate_plots(step)}
    assert list(plots) == [
        "Score on source validation", "Share of foreground", "Distance to the source's solidity",
        "Distance to the source's area ratio", "Combined score, lower is better",
        "Overlap of predictions of the target",
    ]  # fmt: skip
    assert all("Collapsed: 1." in plot.alt for plot in plots.values())
    assert "epoch 1 0.300, epoch 2 0.700, epoch 3 0.800" in plots["Score on source validation"].alt
    # |.85 + .01 epoch - .92|, the same in 3D and per slice, which is one line
    assert "solidity: epoch 1 0.060, epoch 2 0.050, epoch 3 0.040." in plots["Distance to the source's solidity"].alt
    assert "combined epoch 3; combined decided" in choice_plot(step).alt
    rows = {row[0]: row for row in rule_table(step).rows}
    assert rows["combined (decided)"][2] == Cell("3", 3, "")
    assert rows["last"][4] == Cell("11.0%", 0.11)


def test_terms_add_up_to_the_score() -> None:
    step = one_step(GOOD)
    table = term_map(step)
    assert table is not None
    *terms, (name, sums) = table.rows
    assert name == "sum"
    for column, total in enumerate(sums):
        parts = sum(float(cells[column].text) for _, cells in terms if cells[column])
        assert parts == pytest.approx(float(total.text), abs=0.005 * len(terms))
    assert table.columns == ("1 x", "2", "3 *")


def test_a_good_network_is_recommended() -> None:
    found = document([learning_step(GOOD)])
    said = verdict(found, read_steps(found))
    assert said.level == "plausible"
    assert said.doubts == ()
    assert "Use the network in segmenter/ for lucchi" in said.sentence
    assert any("label one or two images" in check for check in said.checks)
    assert not any("Before and after" in check for check in said.checks)
    assert "Before and after" in verdict(found, read_steps(found), compared=True).checks[0]


@pytest.mark.parametrize(
    ("judgements", "words"),
    [
        ([judgement(1, 0.1, score=0.2), judgement(2, 0.1, score=0.3)], "train longer"),
        ([judgement(1, 0.1, score=None), judgement(2, 0.1, score=None)], "no validation images"),
        ([judgement(1, 0.1, stability=0.4), judgement(2, 0.1, stability=0.4)], "unsteady"),
        ([judgement(1, 0.1, stability=None), judgement(2, 0.1, stability=None)], "could not be measured"),
        ([judgement(1, 0.25), judgement(2, 0.26)], "so much more of it"),
        ([judgement(1, 0.03), judgement(2, 0.03)], "so much less of it"),
        ([judgement(1, 0.1)], "one candidate only"),
        ([judgement(1, 0.18, score=0.9), judgement(2, 0.1)], "find 10.0% to 18.0% foreground: the choice matters"),
    ],
)
def test_doubts_are_put_into_words(judgements: list, words: str) -> None:
    found = document([learning_step(judgements)])
    said = verdict(found, read_steps(found))
    assert said.level == "doubtful"
    (doubt,) = said.doubts
    assert words in doubt
    assert f"{doubt[0].lower()}{doubt[1:]}" in said.sentence


def test_a_collapsed_network_is_not_to_be_used() -> None:
    found = document([learning_step([judgement(1, 0.99), judgement(2, 0.995)])])
    steps = read_steps(found)
    said = verdict(found, steps)
    assert said.level == "useless"
    assert said.sentence.startswith("Do not use this network for lucchi")
    alarms = adaptation_alarms(found, steps)
    assert [alarm.level for alarm in alarms] == ["danger"]
    assert "no candidate segments the target" in alarms[0].text
    html = adaptation_report(AdaptationReport("x", found, steps))
    assert html.index("alarm-danger") < html.index('class="key-numbers"')


def test_a_scale_at_the_end_of_the_search_is_a_doubt() -> None:
    learned = learning_step([judgement(1, 0.1), judgement(2, 0.1)])
    for zoom, expected in ((2.0, "plausible"), (1.0, "doubtful"), (4.0, "doubtful")):
        found = document([learned, plain_step("rescale", "scale", 2, scale_findings(zoom))])
        said = verdict(found, read_steps(found))
        assert said.level == expected
        assert bool(said.doubts) == (expected == "doubtful")


@pytest.mark.parametrize("inverted", [True, False])
def test_an_inverted_target_is_told(inverted: bool) -> None:
    learned = learning_step([judgement(1, 0.1), judgement(2, 0.1)])
    found = document([learned, plain_step("invert", "polarity", 2, {"inverted": inverted})])
    steps = read_steps(found)
    said = verdict(found, steps)
    assert any("shown inverted" in each for each in said.support) is inverted
    assert any("Bright and dark" in each for each in said.checks) is inverted
    assert step_table(steps).rows[1][2] == ("inverted" if inverted else "as it is")
    words = "the target is seen inverted" if inverted else "the target is seen as it is"
    assert f"invert: {words}" in adaptation_table(found)


def test_the_search_over_scales() -> None:
    plot = scale_plot(scale_findings())
    assert "0.50: 0.900, 0.71: 0.600, 1.00: 0.500, 1.41: 0.700, 2.00: \N{EN DASH}); 1.00 is taken" in plot.alt
    cells = [row[0] for row in scale_table(scale_findings()).rows]
    assert [cell.text for cell in cells] == ["0.50", "0.71", "1.00", "1.41", "2.00"]
    assert [cell.note for cell in cells] == ["", "", "taken", "", ""]


def test_what_was_transferred() -> None:
    transfer = {"loaded": ["e.a", "d.b"], "missing": ["h.w"], "unexpected": ["z"], "other_shape": []}
    facts, table = transfer_facts({"transfer": transfer, "frozen": ["e.a"]})
    assert dict(facts.entries)["kept fixed in the training that follows"] == "1 tensors, the encoder"
    assert dict(table.rows) == {
        "e.a": "taken over, fixed", "d.b": "taken over", "h.w": "kept as it was: not there", "z": "not used",
    }  # fmt: skip


def test_losses_are_drawn_in_parts() -> None:
    parts = {f"train_{name}": 1.0 for name in "abcd"}
    plots = loss_plots([{"epoch": epoch, "train_loss": 2.0, "seconds": 1, **parts} for epoch in (1, 2)])
    assert [plot.alt.split(":")[0] for plot in plots] == [
        "Training loss over 2 epochs", "Parts of the loss over 2 epochs", "Parts of the loss over 2 epochs",
    ]  # fmt: skip
    assert loss_plots([]) == ()
    assert loss_plots([{"epoch": 1, "train_loss": float("nan")}]) == ()


@pytest.mark.parametrize(
    "changes",
    [{}, {"comparison": None}, {"differences": []}, {"reference": None}, {"alarms": ["something odd"]}],
)
def test_nothing_but_a_training(changes: dict) -> None:
    """No scale, no pictures, no curves, no validation: the page stands all the same."""
    found = document([learning_step([judgement(1, 0.1, score=None, stability=None)])], **changes)
    html = adaptation_report(AdaptationReport("x", found, read_steps(found)))
    outline = Outline(html)
    assert "Candidates of supervised" in outline.text
    assert "At which scale" not in outline.text
    assert "Before and after" not in outline.text
    assert ("something odd" in outline.text) == ("alarms" in changes)


def test_no_step_at_all() -> None:
    found = document([], method="none")
    page = adaptation_page(AdaptationReport("x", found, ()))
    assert "nothing was learned" in page.lead
    assert "Nothing was changed" in Outline(page.html()).text


def test_nothing_found_anywhere() -> None:
    nothing = judgement(1, 0.0, stability=None)
    empty = [nothing.__class__(epoch, 0.8, None, traits(0.0, 0.0, 0), None, None) for epoch in (1, 2)]
    found = document([learning_step(empty)])
    steps = read_steps(found)
    assert verdict(found, steps).level == "useless"
    assert "nothing is foreground" in Outline(adaptation_report(AdaptationReport("x", found, steps))).text


def test_nothing_has_changed(report: AdaptationReport) -> None:
    found = document([learning_step(GOOD)])
    same = adaptation_report(AdaptationReport("x", found, read_steps(found), pictures=scenes(moved=0)))
    assert "before and after are the same" in same
    assert ">Before<" not in same
    without = adaptation_report(AdaptationReport("x", found, read_steps(found), pictures=scenes(before=False)))
    assert "What it finds in the target" in without


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
  result.pictures = inner.querySelectorAll("button.open").length;
  result.heights = [...inner.querySelectorAll(".panels svg")].map((svg) => svg.getBoundingClientRect().height);
  document.getElementById("out").textContent = JSON.stringify(result);
});
frame.srcdoc = JSON.parse(document.getElementById("source").textContent);
</script>"""


def seen(html: str, width: int, folder: Path) -> dict:
    """What a browser makes of a page; it says nothing on its console."""
    page = folder / "frame.html"
    page.write_text(FRAME % (width, json.dumps(html).replace("<", "\\u003c")), encoding="utf-8")
    text, console = browse(page, folder / "profile", "--window-size=1400,900")
    assert console == []
    return json.loads(unescape(text.partition('<pre id="out">')[2].partition("</pre>")[0]))


@pytest.mark.parametrize("width", [1280, 360])
def test_in_a_browser(html: str, tmp_path: Path, width: int) -> None:
    result = seen(html, width, tmp_path)
    assert result["width"] == width
    assert result["scrollWidth"] <= width
    assert result["pictures"] == 2 * 4 + 8
    assert min(result["heights"]) > 50
