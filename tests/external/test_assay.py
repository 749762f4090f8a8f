"""Foreign models under the assay, beside ours."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

import anyscope
from anyscope import cli
from anyscope.assay.measure import Workshop
from anyscope.assay.run import open_ledger
from anyscope.errors import BadInput, Incomplete
from anyscope.external.commands import pixels_of
from anyscope.workflows.stress import plan_assay
from tests.assay.conftest import save_tiny
from tests.external.conftest import describe

GIVEN = {"suite": "contrast@3,gaussian_noise@3", "images": 4, "device": "cpu", "batch": 4, "split": "train"}


def cells_of(folder):
    with open_ledger(folder) as ledger:
        return {cell.key: cell for cell in ledger.cells()}


@pytest.fixture(scope="module")
def stressed(exported, program, nuclei, tmp_path_factory):
    """Ours, one ONNX, one TorchScript and one command in one run, from the command line."""
    out = tmp_path_factory.mktemp("stressed") / "out"
    words = [exported["ours"], exported["onnx"] / "model.onnx", exported["torchscript"], program]
    options = ["--trust", "--device", "cpu", "--suite", GIVEN["suite"], "--images", "4", "--split", "train"]
    options += ["--attacks", "pgd", "--epsilons", "8", "--attack-steps", "2"]
    code = cli.main(["stress", *map(str, words), "--data", str(nuclei), "--out", str(out), *options])
    return code, out


def test_three_foreign_models_beside_ours(stressed, exported, program, nuclei):
    code, out = stressed
    cells = cells_of(out)
    assert code == 3
    command = program.parent.name
    assert {model for model, _, _ in cells} == {"ours", "model.onnx", "torchscript", command, "otsu"}
    failed = {key for key, cell in cells.items() if cell.failure is not None}
    assert {model for model, _, _ in failed} == {command}
    assert {cells[key].failure for key in failed} == {
        f"command {sys.executable!r}: failed with exit code 1: the first pixel is odd"
    }
    # which clean images fail is what the program's rule says of the pixels that it was shown
    plan = plan_assay([exported["ours"]], nuclei, **GIVEN)
    shop = Workshop(plan)
    convention = shop.subject("ours").convention
    odd = {
        name
        for name in plan.data[0].images
        if pixels_of(shop.data("data").image(name, convention).unit, "uint8").flat[0] % 2
    }
    assert 0 < len(odd) < 4
    assert {image for _, condition, image in failed if condition == "clean"} == odd
    assert sum(model == command for model, _, _ in cells) == 3 * 4 + 4  # and random noise, which needs no gradient


def test_the_same_network_has_the_same_counts_in_every_format(stressed):
    _, out = stressed
    cells = cells_of(out)
    compared = 0
    for (model, condition, image), cell in cells.items():
        if model in ("model.onnx", "torchscript") and condition != "pgd:2@8":
            found, ours = (one.result["mask"]["sums"] for one in (cell, cells["ours", condition, image]))
            for name, values in ours.items():  # rounding may move a pixel across the threshold
                np.testing.assert_allclose(found[name], values, atol=3)
            compared += 1
    assert compared == 2 * 4 * 4  # clean, two corruptions, random noise


def test_what_has_no_gradient_is_not_attacked_by_gradient(stressed):
    _, out = stressed
    attacked = {model for model, condition, _ in cells_of(out) if condition == "pgd:2@8"}
    assert attacked == {"ours", "torchscript"}
    page = (out / "report.html").read_text()
    assert "model.onnx gives no gradients: corruptions and attacks that need no gradient only" in page
    assert "gives labels alone" in page
    assert "--trust" in page


def test_code_does_not_run_without_trust(exported, program, nuclei, tmp_path):
    for model, why in ((exported["torchscript"], "TorchScript"), (program, "command"), ("json:loads", "entry point")):
        with pytest.raises(BadInput, match=f"{why}.*--trust"):
            anyscope.stress([model], nuclei, tmp_path / "out", **GIVEN)
    assert not (tmp_path / "out").exists()


def test_another_file_is_another_model(exported, nuclei, tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(exported["onnx"], copied)
    given = {**GIVEN, "suite": "none", "images": 1, "baseline": False}
    anyscope.stress([copied], nuclei, tmp_path / "out", **given)
    anyscope.export(save_tiny(tmp_path / "other", 1), "onnx", copied, force=True)
    with pytest.raises(BadInput, match="weights"):
        anyscope.stress([copied], nuclei, tmp_path / "out", **given, resume=True)


def test_a_file_that_was_changed_is_refused(exported, nuclei, tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(exported["onnx"], copied)
    raw = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(BadInput, match="SHA-256"):
        plan_assay([copied], nuclei, **GIVEN)


def test_a_timeout_fails_its_cells_and_resume_tries_again(nuclei, tmp_path):
    (tmp_path / "tool.py").write_text("import time\ntime.sleep(60)\n")
    words = f"{sys.executable} tool.py {{input}} {{output}}"
    model = describe(tmp_path, kind="command", command=words, timeout_s=0.2, name="slow")
    given = {**GIVEN, "suite": "none", "images": 2, "trust": True}
    with pytest.raises(Incomplete, match=r"2 of 4 cells failed: slow clean .* took longer than 0.2 s"):
        anyscope.stress([model], nuclei, tmp_path / "out", **given)
    assert {key[0] for key, cell in cells_of(tmp_path / "out").items() if cell.failure is None} == {"otsu"}
    (tmp_path / "tool.py").write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n")
    result = anyscope.stress([model], nuclei, tmp_path / "out", **given, resume=True)
    assert result.scores.tally.complete().all()
