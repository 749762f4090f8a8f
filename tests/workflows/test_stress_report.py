"""The page that ``stress`` and ``report`` write for an assay, from models and images on disk."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from anyscope.assay.conditions import attack_conditions, suites
from anyscope.assay.plan import AssayPlan, DataRef, SubjectRef
from anyscope.errors import Incomplete
from anyscope.running.ledger import Cell
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.report import report
from anyscope.workflows.stress import assay_scores, open_ledger, plan_of, stress
from anyscope.workflows.stress_pictures import typical_image
from anyscope.workflows.stress_report import commands, suite_of


@pytest.fixture(scope="module")
def assay(tmp_path_factory: pytest.TempPathFactory, run: Path, blobs: Path) -> Path:
    """An assay of two copies of a run, in a folder of its own with the data."""
    root = tmp_path_factory.mktemp("assay")
    for name in ("first", "second"):
        shutil.copytree(run / "segmenter", root / name / "segmenter")
    shutil.copytree(blobs, root / "blobs")
    suite = "gaussian_noise@2,gaussian_noise@4,contrast"
    runs = [root / "first", root / "second"]
    stress(
        runs, root / "blobs", root / "out", suite=suite, attacks=["pgd"], epsilons=[4, 16], attack_steps=2,
        split="train", images=2, device="cpu", seed=5,
    )  # fmt: skip
    return root


def test_pictures_show_what_was_scored(assay: Path) -> None:
    html = (assay / "out" / "report.html").read_text(encoding="utf-8")
    plan = plan_of(RunFolder.of(assay / "out"))
    scores, _ = assay_scores(plan, assay / "out", None)
    image = typical_image(scores, 0)
    place = plan.data[0].images.index(image)
    values = scores.tally.per_image()[0, :, place]
    assert "another score than that in the ledger" not in html
    corners = re.findall(r"paint-order=\"stroke\">(\d\.\d\d)<", html)
    clean, *others = (f"{value:.2f}" for value in values)
    corrupted, attacked = others[:7], dict(zip((c.key for c in scores.conditions[8:]), others[7:], strict=True))
    pairs = [clean, attacked["pgd:2@16"], clean, attacked["random_noise@16"]]
    assert corners == [clean, *corrupted, *pairs]
    assert html.count("data:image/jpeg") == 2 + 7 + 2 * 4
    assert "change \N{MULTIPLICATION SIGN} " in html


def test_no_places_of_folders(assay: Path) -> None:
    html = (assay / "out" / "report.html").read_text(encoding="utf-8")
    assert str(assay) not in html
    assert "How 2 networks hold on blobs" in html
    assert (
        "anyscope stress first second --data blobs --out out --suite gaussian_noise@2,gaussian_noise@4,contrast "
        "--attacks pgd --epsilons 4,16 --attack-steps 2 --split train --images 2 --seed 5"
    ) in html


def test_without_models_images_or_an_end(assay: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(assay / "out", copy)
    moved = (assay / "blobs").rename(assay / "moved")
    try:
        html = report(copy).read_text(encoding="utf-8")
    finally:
        moved.rename(assay / "blobs")
    assert "There are no pictures: blobs" in html
    assert "What the corruptions do" in html
    (copy / "finished.json").unlink()
    with open_ledger(copy) as ledger:
        keys = [cell.key for cell in ledger.cells() if cell.key[0] == "second" and cell.key[1] == "contrast@3"]
        ledger.write([Cell(key, failure=f"OutOfMemory: at {assay / 'second' / 'segmenter'}") for key in keys])
    html = report(copy).read_text(encoding="utf-8")
    assert "The assay is not finished" in html
    assert "2 cells of second failed, under contrast@3. 2 times: OutOfMemory: at second" in html


def test_changed_images_are_noticed(assay: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(assay / "out", copy)
    image = typical_image(assay_scores(plan_of(RunFolder.of(copy)), copy, None)[0], 0)
    with open_ledger(copy) as ledger:
        (clean,) = [cell for cell in ledger.cells() if cell.key == ("first", "clean", image)]
        (noisy,) = [cell for cell in ledger.cells() if cell.key == ("first", "gaussian_noise@4", image)]
        assert clean.result["mask"] != noisy.result["mask"]
        ledger.write([Cell(noisy.key, clean.result)])
    html = report(copy).read_text(encoding="utf-8")
    assert "1 of 12 pictures were made again with another score than that in the ledger (gaussian_noise@4)" in html


def test_nothing_measured(assay: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(assay / "out", copy)
    with open_ledger(copy) as ledger:
        ledger.write([Cell(cell.key, failure="no") for cell in ledger.cells()])
    with pytest.raises(Incomplete, match="every cell failed: no"):
        report(copy)


def plan(keys: list[str], **changes: object) -> AssayPlan:
    """A plan whose folders nobody reads."""
    subjects = (SubjectRef(name="a", path="/x/a b/segmenter"), SubjectRef(name="otsu", path=None))
    data = (DataRef(name="data", path="/y/cells", part="test", images=("i", "j")),)
    return AssayPlan.model_validate({"subjects": subjects, "data": data, "conditions": keys, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quick", "quick"),
        ("none", "none"),
        ("full", "full"),
        ("fluorescence,gamma", "fluorescence,gamma"),
        ("electron,fluorescence", None),
        ("contrast@1,contrast@5,charging", "contrast@1,contrast@5,charging"),
        ("quick,charging", None),
    ],
)
def test_the_suite_gives_the_same_conditions(text: str, expected: str | None) -> None:
    wanted = suites(text)
    found = suite_of(plan(["clean", *(condition.key for condition in wanted)]))
    assert set(suites(found)) == set(wanted)
    assert expected in (None, found)


def test_command_names_everything() -> None:
    keys = ["clean", *(condition.key for condition in attack_conditions(["fgsm", "pgd-l2"], [2, 0.5]))]
    other = DataRef(name="b", path="/z/other", part=None, images=("k",))
    whole = plan(keys, crop_px=64, planes=3, seed=2, data=(plan(keys).data[0], other))
    first, second = commands(whole, "out", "otsu")
    assert first == (
        "anyscope stress 'a b' --data cells --out out --suite none --attacks fgsm,pgd-l2 --epsilons 2,0.5 "
        "--shift other --images 2 --crop 64 --planes 3 --reference otsu --seed 2"
    )
    assert second == "anyscope report out"
