from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.reports.blocks import Facts, KeyNumbers, Text
from anyscope.reports.page import Page, Section
from anyscope.reports.run_report import (
    EvaluationReport,
    RunReport,
    evaluation_page,
    evaluation_report,
    run_page,
    run_report,
)
from anyscope.reports.samples import Sample

from .outline import Outline


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def test_nothing_is_requested(outline: Outline) -> None:
    outline.assert_requests_nothing()


def test_everything_is_escaped(outline: Outline) -> None:
    assert len(outline.all("script")) == 1
    assert outline.all("img") == []
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]
    assert outline.text.count("<script>document.title='owned'</script>") >= 8


def test_semantics(outline: Outline) -> None:
    assert outline.tags[0] == ("html", {"lang": "en"})
    assert len(outline.all("h1")) == len(outline.all("main")) == 1
    assert len(outline.all("table")) == len(outline.all("caption"))
    figures = outline.all("svg")
    named = [attributes for attributes in figures if attributes.get("aria-label") or attributes.get("aria-hidden")]
    plots = [attributes for attributes in figures if attributes.get("class") == "plot"]
    assert len(named) + len(plots) == len(figures)
    assert len(plots) == len([1 for figure in outline.all("figure") if figure.get("role") == "img"])
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = {attributes["href"] for _, attributes in outline.tags if "href" in attributes}
    assert {target[1:] for target in targets if target and target.startswith("#")} <= set(ids)


def test_content(outline: Outline) -> None:
    text = " ".join(outline.text.split())
    # By hand: the mean of 0.50, 0.53 .. 0.80 and 0.20 is 0.6125, its deviation 0.1609.
    assert re.search(r"Foreground IoU is 0.62\d over 13 images together, 0.61\d ± 0.161 from image to image\.", text)
    assert "rank 12 of 12" in text
    assert "1 of them empty, counted apart" in text
    assert "model.arguments.width" in text
    assert text.index("The worst") < text.index("In the middle") < text.index("The best")
    assert "10 µm" not in text
    assert "2 µm" in text  # 120 pixels of 100 nm


def test_same_data_same_bytes(run: RunReport, html: str) -> None:
    assert run_report(run) == html


def test_sections_can_be_added(run: RunReport) -> None:
    page = run_page(run)
    more = replace(page, sections=(*page.sections, Section("More", (Text(("one & two",)),))))
    assert "one &amp; two" in more.html()


def test_without_evaluation_or_anything(run: RunReport) -> None:
    bare = RunReport("bare", {}, {}, [], None)
    assert "not evaluated" in Outline(run_report(bare)).text
    only = EvaluationReport("only", {"protocol": "p", "n": 1, "scores": {"iou": 0.5}, "per_image": []})
    assert "0.500" in Outline(evaluation_report(only)).text
    undefined = EvaluationReport("none", {"protocol": "p", "n": 2, "n_empty": 2, "scores": {"iou": None}})
    assert "Scored on 2 images by the protocol p." in Outline(evaluation_report(undefined)).text


def test_decoders_are_compared_where_there_are_several(run: RunReport) -> None:
    one = {"decoder": {"name": "watershed"}, "words": "grown from seeds", "scores": {"voi": 0.25}}
    other = {"decoder": {"name": "components"}, "words": "what hangs together", "scores": {"voi": None}}
    text = Outline(run_report(replace(run, decoders=[one, other]))).text
    assert "grown from seeds" in text
    assert text.index("watershed") < text.index("components")
    assert "How objects are made" not in Outline(run_report(replace(run, decoders=[one]))).text


def test_unknown_primary_score(run: RunReport) -> None:
    with pytest.raises(BadInput, match="one of foreground_iou, voi_split"):
        run_report(replace(run, primary_score="dice"))


def test_samples_without_evaluation_of_them_are_shown(run: RunReport) -> None:
    plane = np.zeros((5, 6), int)
    extra = Sample("elsewhere", np.zeros((5, 6)), plane, plane)
    text = Outline(run_report(replace(run, samples=[*run.samples, extra], task="semantic"))).text
    assert "Further images" in text
    assert "elsewhere" in text


@pytest.mark.parametrize("shapes", [((4, 4), (4, 4), (4, 5)), ((1, 4, 4),) * 3, ((0, 4),) * 3])
def test_samples_of_wrong_shape(shapes: tuple[tuple[int, ...], ...]) -> None:
    image, reference, prediction = (np.zeros(shape) for shape in shapes)
    with pytest.raises(BadInput, match="cell: image"):
        Sample("cell", image, reference.astype(int), prediction.astype(int))


def test_undecodable_file_names_can_be_written() -> None:
    page = Page("name \udcff\x00", "", (Section("s", (Facts.of("f", {"\x1b": "\ud800"}),)),))
    assert page.html().encode("utf-8").count("\N{REPLACEMENT CHARACTER}".encode()) >= 4


def test_scores_at_other_thresholds_are_no_key_numbers() -> None:
    names = ("accuracy_50", "accuracy_55", "accuracy_60", "f1_50", "voi_split")
    document = {"protocol": "p", "n": 1, "scores": dict.fromkeys(names, 0.5), "per_image": []}
    (numbers,) = evaluation_page(EvaluationReport("thresholds", document)).top
    assert isinstance(numbers, KeyNumbers)
    assert [name for _, name, _ in numbers.entries] == ["accuracy at .50", "F1 at .50", "VOI split", "images"]
