"""Strong attacks in a whole assay: transfer, universal perturbations, ensembles, gradient masking."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import yaml

import anyscope
from anyscope.assay import lessons
from anyscope.assay.conditions import Condition
from anyscope.assay.degrade import perturb
from anyscope.assay.findings import find
from anyscope.assay.gate import Gate, check_gate
from anyscope.assay.masking import attack_doubts, masked_models
from anyscope.assay.measure import Workshop
from anyscope.assay.perturbations import perturbation_path, read_perturbation, read_record, universal_of
from anyscope.assay.plan import LEARNING
from anyscope.assay.run import open_ledger, run_assay
from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import tally
from anyscope.attacks import class_logits
from anyscope.errors import BadInput
from anyscope.running.engines import ThisProcess
from anyscope.training.checkpoint import save_checkpoint
from anyscope.workflows.stress import plan_assay
from anyscope.workflows.stress_report import commands
from tests.assay.conftest import save_tiny, tally_of

STEPS = 4


def plan_for(networks, data, attacks, **changes):
    given = {
        "suite": "none", "attacks": attacks, "epsilons": [8], "attack_steps": STEPS, "images": 2, "device": "cpu",
        "batch": 2,
    }  # fmt: skip
    return plan_assay(networks, data, **{**given, **changes})


def run_in(folder, plan):
    folder.mkdir(exist_ok=True)
    with open_ledger(folder) as ledger:
        failed = run_assay(plan, ledger, ThisProcess())
        return list(ledger.cells()), failed


@pytest.fixture(scope="module")
def strong(networks, nuclei, tmp_path_factory):
    """A plan with everything, its folder, and its cells."""
    plan = plan_for(networks, nuclei, ["apgd", "strong"])
    folder = tmp_path_factory.mktemp("strong")
    cells, failed = run_in(folder, plan)
    assert failed == []
    return plan, folder, {cell.key: cell.result for cell in cells}


def scores_of(plan, folder):
    with open_ledger(folder) as ledger:
        return AssayScores(tally(plan, ledger, "mask"), {}, plan.subjects[0].name)


def test_every_cell_is_there_and_says_its_steps(strong):
    plan, _, cells = strong
    series = {Condition.parse(condition).series for _, condition, _ in cells}
    assert series == {
        "clean", "apgd:4", "sea_balanced:4", "sea_masked:4", "sea_js:4", "square:4", "universal:4", "transfer:4/one",
        "transfer:4/two", "random_noise",
    }  # fmt: skip
    assert {key[1] for key in cells if key[0] == "otsu"} == {"clean", "transfer:4/one@8", "transfer:4/two@8"}
    assert len(cells) == 2 * (10 * 2 + 3)
    assert set(cells) == set(plan.cells())


def test_an_attack_made_for_a_network_is_its_own_apgd(strong):
    _, _, cells = strong
    for (model, condition, image), result in cells.items():
        if condition == f"transfer:4/{model}@8":
            assert result == cells[model, "apgd:4@8", image]
    others = [cells["two", "transfer:4/one@8", i] != cells["two", "apgd:4@8", i] for _, _, i in list(cells)[:2]]
    assert any(others)


def test_the_ensembles_are_at_least_as_strong_as_their_parts(strong):
    plan, folder, _ = strong
    scores = scores_of(plan, folder)
    by_key = {c.key: scores.of(c) for c in scores.conditions}
    for part in ("sea_balanced:4@8", "sea_masked:4@8", "sea_js:4@8"):
        assert (by_key["sea:4@8"][:2] <= by_key[part][:2] + 1e-12).all()
    for key, value in by_key.items():
        if key not in ("clean", "worst@8"):
            known = np.isfinite(value)
            assert (by_key["worst@8"][known] <= value[known] + 1e-12).all()
    assert scores.tally.complete().all()


def test_universal_perturbations_are_learned_on_other_images_and_recorded(strong, nuclei):
    plan, folder, _ = strong
    condition = Condition.parse("universal:4@8")
    assert plan.learning.part == "train"
    assert not set(plan.learning.images) & set(plan.data[0].images)
    for model in ("one", "two"):
        record = read_record(perturbation_path(folder / "universal", model, condition))
        assert record["step"] == len(record["losses"]) == STEPS
        assert record["about"]["images"] == list(plan.learning.images)
        change = read_perturbation(folder / "universal", model, condition)
        assert float(change.abs().max()) <= 8 / 255 + 1e-7
    image = Workshop(plan).data("data").image(plan.data[0].images[0], Workshop(plan).subject("one").convention)
    (shown,) = perturb(condition, [image], change)
    # images of the assay are not at levels of 8 bits: the ball is left by half a level at most
    assert np.abs(shown.unit - image.unit).max() <= 8.5 / 255 + 1e-6
    assert shown.unit.min() >= 0
    assert shown.unit.max() <= 1
    np.testing.assert_allclose(shown.unit * 255, np.round(shown.unit * 255), atol=1e-4)


def test_a_learning_that_was_stopped_ends_as_one_that_was_not(strong, networks, nuclei, tmp_path, monkeypatch):
    plan = plan_for(networks[:1], nuclei, ["universal"], baseline=False)
    whole = tmp_path / "whole"
    cells, _ = run_in(whole, plan)

    class Killed(BaseException):
        pass

    def stopping(path, state):
        save_checkpoint(path, state)
        if state["step"] == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(lessons, "_STEPS_BETWEEN", 2)
        patched.setattr(lessons, "save_checkpoint", stopping)
        with pytest.raises(Killed):
            run_in(tmp_path / "stopped", plan)
    condition = Condition.parse("universal:4@8")
    assert read_record(perturbation_path(tmp_path / "stopped" / "universal", "one", condition))["step"] == 2
    again, _ = run_in(tmp_path / "stopped", plan)
    assert again == cells
    changes = [read_perturbation(folder / "universal", "one", condition) for folder in (whole, tmp_path / "stopped")]
    assert torch.equal(*changes)


def test_more_steps_of_a_universal_perturbation_raise_the_loss(networks, nuclei):
    plan = plan_for(networks[:1], nuclei, ["universal"], attack_steps=40)
    shop = Workshop(plan)
    path_losses = []
    subject = shop.subject("one")
    method = universal_of(Condition.parse("universal:40@8"), plan)
    state = method.begin(1)
    images, target = lessons._batch(plan, shop.data(LEARNING), subject, 0)
    for _ in range(40):
        state = method.step(class_logits(subject.segmenter), state, images, target)
        path_losses.append(state.losses[-1])
    assert np.mean(path_losses[-5:]) > path_losses[0]


def test_without_other_images_there_is_no_universal_perturbation(networks, nuclei, tmp_path):
    other = tmp_path / "all-of-it"
    shutil.copytree(nuclei, other)
    stems = sorted(path.stem for path in (other / "images").iterdir())
    plain = yaml.safe_load((other / "dataset.yaml").read_text()) | {"split": {"train": [], "val": [], "test": stems}}
    (other / "dataset.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(BadInput, match="--split test"):
        plan_for(networks, other, ["universal"])


def test_models_that_are_shown_other_pixels_do_not_share_attacks(networks, nuclei, tmp_path):
    other = save_tiny(tmp_path / "three", 2, intensity={"kind": "fixed", "low": 0, "high": 1000})
    plan = plan_for([*networks, other], nuclei, ["transfer"])
    pairs = {(model, Condition.parse(key).of) for model, key, _ in plan.cells() if "transfer" in key}
    assert pairs == {(a, b) for a in ("one", "two", "otsu") for b in ("one", "two")} | {("three", "three")}


def test_a_perturbation_that_cannot_be_learned_fails_in_its_cells(networks, nuclei, tmp_path, monkeypatch):
    plan = plan_for(networks[:1], nuclei, ["universal"], baseline=False)

    def broken(*_):
        raise RuntimeError("no such thing")

    with monkeypatch.context() as patched:
        patched.setattr(lessons, "_batch", broken)
        cells, failed = run_in(tmp_path, plan)
    assert {cell.key[1] for cell in failed} == {"universal:4@8"}
    assert "no such thing" in failed[0].failure
    assert sum(cell.failure is None for cell in cells) == 2 * 2
    assert run_in(tmp_path, plan)[1] == []  # tried again


def test_masked_gradients_are_named_with_their_numbers():
    keys = ["clean", "contrast@1", "pgd@8", "apgd@8", "square@8", "transfer/honest@8", "random_noise@8"]
    rows = {
        "honest": [0.9, 0.8, 0.20, 0.15, 0.5, 0.15, 0.88],
        "masked": [0.9, 0.8, 0.85, 0.84, 0.4, 0.3, 0.87],
    }
    scores = AssayScores(tally_of({n: [[v] * 4 for v in row] for n, row in rows.items()}, keys), {}, "honest")
    named = masked_models(scores)
    assert list(named) == ["masked"]
    text = " ".join(named["masked"])
    assert "without gradients leaves 0.40, the one by gradient 0.84" in text
    assert "made for another network leave 0.30" in text
    assert {doubt.model for doubt in attack_doubts(scores)} == {"masked"}
    assert any("gradient of masked is probably masked" in remark for remark in find(scores).remarks)


def test_more_steps_that_do_less_are_named():
    keys = ["clean", "pgd@8", "pgd:100@8", "random_noise@8"]
    scores = AssayScores(tally_of({"a": [[v] * 3 for v in (0.9, 0.3, 0.4, 0.88)]}, keys), {}, "a")
    (doubt,) = attack_doubts(scores)
    assert "from 0.30 with 10 steps to 0.40 with 100" in doubt.warning


def test_the_page_shows_worst_case_transfer_and_learning(networks, nuclei, tmp_path):
    result = anyscope.stress(
        networks, nuclei, tmp_path / "out", suite="none", attacks=["strong"], epsilons=[8], attack_steps=2, images=2,
        device="cpu",
    )  # fmt: skip
    page = result.report.read_text()
    for words in ("Worst, pooled", "made for others (columns)", "Learned on part", "transfer:2/one", "worst"):
        assert words in page
    plan = plan_for(networks, nuclei, ["strong"], attack_steps=2)
    line = commands(plan, "out", "one")[0]
    assert "--attacks sea,square,universal,transfer --epsilons 8 --attack-steps 2 " in line


def test_a_gate_need_not_say_the_steps(tmp_path):
    keys = ["clean", "contrast@1", "pgd:100@8", "apgd:100@8", "worst@8", "random_noise@8"]
    scores = AssayScores(tally_of({"a": [[v] * 3 for v in (0.9, 0.8, 0.3, 0.2, 0.1, 0.88)]}, keys), {}, "a")
    gate = Gate(minimum={"pgd@8": 0.25, "pgd:100@8": 0.35, "worst@8": 0.0, "worst": 0.7})
    found = {check.name: (check.found, check.passed) for check in check_gate(gate, scores, tmp_path)}
    values = {"pgd@8": (0.3, True), "pgd:100@8": (0.3, False), "worst@8": (0.1, True), "worst": (0.8, True)}
    assert found == {name: (pytest.approx(value), passed) for name, (value, passed) in values.items()}
