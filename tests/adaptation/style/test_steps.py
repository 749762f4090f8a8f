"""Style transfer as steps: kill and resume, candidates, findings, no labels, and that it does what it is for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.domains import Domains
from anyscope.adaptation.runner import carry_out
from anyscope.adaptation.settings import AdaptSettings
from anyscope.adaptation.style.examination import pictures_file, read_findings
from anyscope.adaptation.style.images import DomainImages
from anyscope.adaptation.style.steps import CUT, CycleGAN
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput
from anyscope.images import open_image, write_image, write_labels
from anyscope.models import InputTransform, build_segmenter, load_segmenter, save_segmenter
from anyscope.models.spec import TranslatorSpec
from anyscope.models.storage import read_safetensors

TINY = {
    "blocks": 1, "filters": 2, "patch_px": 32, "batch": 1,
    "constant_epochs": 2, "decaying_epochs": 2, "steps_per_epoch": 2,
}  # fmt: skip
BOTH = pytest.mark.parametrize("kind", [CUT, CycleGAN], ids=["style", "cyclegan"])


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr("anyscope.adaptation.style.examination.PATCH_PX", 48)


def candidates(work):
    return {epoch: read_safetensors(path) for epoch, path in work.kept().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@BOTH
def test_a_step_leaves_candidates_pictures_and_findings(kind, make_work):
    work = make_work()
    before = {key: value.clone() for key, value in work.segmenter.state_dict().items()}
    assert STEPS[kind.name] is kind
    returned = kind(**TINY).run(work)
    assert returned is work
    found = candidates(work)
    assert list(found) == [0, 1, 2, 3, 4]
    assert all(equal({key: each[key] for key in before}, before) for each in found.values()), "the network changed"
    assert [float(each["translator.strength"]) for each in found.values()] == [0, 1, 1, 1, 1]
    first = "translator.generator.layers.1.weight"
    assert not torch.equal(found[1][first], found[4][first])
    findings = read_findings(work.folder)
    assert list(findings["epochs"]) == ["1", "2", "3", "4"]
    assert isinstance(findings["alarms"], list)
    foreground = findings["epochs"]["4"]["foreground"]
    assert 0 < foreground["source"] < 1
    assert (foreground["cycle"] is None) == (kind is CUT)
    with np.load(pictures_file(work.folder, 4)) as pictures:
        assert pictures["before"].shape == pictures["after"].shape == (4, 1, 48, 48)
        assert pictures["before"].dtype == np.uint8
        assert not np.array_equal(pictures["before"], pictures["after"])
    records = work.run.records()
    assert [round(each["learning_rate"] / 1e-3, 3) for each in records] == [1, 1, round(2 / 3, 3), round(1 / 3, 3)]
    assert not any(weight.requires_grad for weight in work.segmenter.translator.parameters())


@BOTH
def test_what_it_began_with_predicts_as_before(kind, make_work, tmp_path):
    work = make_work()
    x = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = work.segmenter.eval()(x)
    kind(**TINY).run(work)
    with torch.no_grad():
        after = work.segmenter(x)
        work.segmenter.load_state_dict(candidates(work)[0])
        assert torch.equal(work.segmenter(x), before)
        assert not torch.equal(after, before)
        work.segmenter.load_state_dict(candidates(work)[4])
        save_segmenter(work.segmenter, tmp_path / "saved")
        assert torch.allclose(load_segmenter(tmp_path / "saved")(x), after, atol=1e-5)
        with work.segmenter.seeing(InputTransform()):
            assert torch.equal(work.segmenter(x), before), "images of the source are not translated"


@BOTH
def test_a_killed_course_ends_as_one_that_was_not(kind, make_work, monkeypatch):
    whole = make_work("same")
    kind(**TINY).run(whole)
    expected, findings = candidates(whole), read_findings(whole.folder)
    killed = make_work("elsewhere/same")
    step = kind(**TINY)
    course = {CUT: "CutCourse", CycleGAN: "CycleCourse"}[kind]
    original = getattr(__import__(kind.__module__, fromlist=[course]), course).step

    def dies(self, number):
        if number == 5:
            raise KeyboardInterrupt
        return original(self, number)

    monkeypatch.setattr(f"{kind.__module__}.{course}.step", dies)
    with pytest.raises(KeyboardInterrupt):
        step.run(killed)
    assert list(killed.kept()) == [0, 1, 2]
    monkeypatch.undo()
    monkeypatch.setattr("anyscope.adaptation.style.examination.PATCH_PX", 48)
    again = make_work("elsewhere/same")
    step.run(again)
    assert list(candidates(again)) == list(expected)
    assert all(equal(found, expected[epoch]) for epoch, found in candidates(again).items())
    assert read_findings(again.folder) == findings
    assert len(again.run.records()) == 4


def test_a_segmenter_with_several_channels_and_slices(make_work, tmp_path, source_folder):
    random = np.random.default_rng(0)
    for name in ("source", "target"):
        write_image(tmp_path / name / "images" / "a.tif", random.integers(0, 255, (2, 4, 40, 40)).astype(np.uint8))
    write_labels(tmp_path / "source" / "labels" / "a.tif", (random.random((4, 40, 40)) > 0.5).astype(np.uint8))
    work = make_work(channels=2, neighbours=1)
    spec = work.segmenter.spec.model_copy(update={"neighbours": 1})
    source, target = open_dataset(tmp_path / "source"), open_dataset(tmp_path / "target")
    domains = Domains(source.labelled(None), None, target.unlabelled(None))
    work = replace(work, domains=domains, segmenter=build_segmenter(spec, 0))
    CUT(**TINY).run(work)
    assert work.segmenter.translator.generator.layers[1].weight.shape[1] == 2
    with np.load(pictures_file(work.folder, 4)) as pictures:
        assert pictures["after"].shape == (4, 2, 48, 48)


def test_images_of_both_domains(work):
    images = DomainImages.of(work, patch_px=32, batch=3, flips=True)
    x, y = images.target(0), images.source(0)
    assert x.shape == y.shape == (3, 1, 32, 32)
    assert x.min() >= -1
    assert x.max() <= 1
    assert torch.equal(images.target(0), x)
    assert not torch.equal(images.target(1), x)
    few = replace(work, domains=replace(work.domains, few=work.domains.source))
    assert torch.equal(DomainImages.of(few, patch_px=32, batch=3, flips=True).source(0), y)


def test_levels_of_the_target_are_applied_before_translation(work):
    plain = DomainImages.of(work, patch_px=32, batch=2, flips=False)
    work.segmenter.spec = work.segmenter.spec.with_input(levels=((1.0, 0.0),))
    turned = DomainImages.of(work, patch_px=32, batch=2, flips=False)
    assert torch.allclose(turned.target(0), -plain.target(0), atol=1e-6)
    assert torch.equal(turned.source(0), plain.source(0))


def test_epochs_of_all_planes(make_work):
    work = make_work()
    step = CUT(**{**TINY, "batch": 2, "steps_per_epoch": None, "constant_epochs": 1, "decaying_epochs": 0})
    step.run(work)
    assert work.run.records()[-1]["step"] == 2, "4 planes of either domain, 2 in a batch"


@BOTH
def test_profiles(kind):
    for profile in kind.profiles.values():
        kind(**profile)
    paper = kind(**kind.profiles["paper"])
    assert (paper.blocks, paper.filters, paper.batch, paper.residual) == (9, 64, 1, False)
    assert paper.learning_rate == 2e-4
    assert paper.steps_per_epoch is None
    if isinstance(paper, CUT):
        assert (paper.constant_epochs, paper.decaying_epochs, paper.patch_px) == (200, 200, 512)
        assert (paper.lambda_nce, paper.lambda_gan, paper.identity) == (1, 1, True)
        assert (paper.places, paper.temperature, paper.antialias) == (256, 0.07, True)
    else:
        assert (paper.constant_epochs, paper.decaying_epochs, paper.patch_px) == (100, 100, 256)
        assert (paper.lambda_cycle, paper.lambda_identity, paper.buffer, paper.antialias) == (10, 0.5, 50, False)


@BOTH
def test_refusals(kind, work):
    spec = work.segmenter.spec.with_input(translator=TranslatorSpec(name="resnet_generator"))
    with pytest.raises(BadInput, match="translates its images already"):
        kind().check(spec)
    with pytest.raises(BadInput, match="no epochs at all"):
        kind(constant_epochs=0, decaying_epochs=0).check(work.segmenter.spec)


def write_inverted(folder, root):
    """The dataset's images with light and dark exchanged."""
    for path in sorted((folder / "images").iterdir()):
        write_image(root / "images" / path.name, 255 - open_image(path).read().astype(np.uint8))
    return root


def distance(one, other):
    levels = np.linspace(0, 1, 101)
    return float(np.abs(np.quantile(one, levels) - np.quantile(other, levels)).mean())


def test_the_grey_levels_of_an_inverted_target_become_those_of_the_source(make_work, source_folder, tmp_path):
    work = make_work()
    target = open_dataset(write_inverted(source_folder, tmp_path / "inverted")).unlabelled(None)
    work = replace(work, domains=replace(work.domains, target=target))
    step = CUT(
        blocks=1, filters=8, patch_px=32, batch=1, antialias=False, residual=False, places=64,
        constant_epochs=3, decaying_epochs=1, steps_per_epoch=25, learning_rate=2e-3,
    )  # fmt: skip
    step.run(work)
    source = DomainImages.of(work, patch_px=48, batch=4, flips=False).source(0).numpy() / 2 + 0.5
    with np.load(pictures_file(work.folder, 4)) as pictures:
        before, after = (pictures[name] / 255 for name in ("before", "after"))
    assert distance(before, source) > 0.2
    assert distance(after, source) < 0.35 * distance(before, source)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) > 0.3, "what it shows is still there"


@BOTH
def test_a_chain_trains_translates_and_selects(kind, make_work, tmp_path):
    """The candidate without translation is judged beside the others, and what is chosen can be saved and loaded."""
    begun = make_work()
    settings = AdaptSettings(method=(kind.name,), steps={kind.name: TINY}, train=begun.settings)
    folder = tmp_path / "run"
    adapted = carry_out(begun.domains, settings, begun.segmenter, folder, "cpu")
    assert [step.name for step in adapted.steps] == ["supervised", kind.name]
    result = adapted.steps[-1]
    assert [each.epoch for each in result.judgements] == [0, 1, 2, 3, 4]
    assert len({each.source_score for each in result.judgements}) == 1, "the source is not translated"
    assert list(result.findings["epochs"]) == ["1", "2", "3", "4"]
    chosen = result.choices[adapted.rule].epoch
    assert float(adapted.segmenter.translator.strength) == (0 if chosen == 0 else 1)
    save_segmenter(adapted.segmenter, tmp_path / "segmenter")
    state = load_segmenter(tmp_path / "segmenter").state_dict()
    assert equal(state, read_safetensors(result.candidates[chosen]))
    again = carry_out(begun.domains, settings, make_work("other").segmenter, folder, "cpu")
    assert equal(again.segmenter.state_dict(), adapted.segmenter.state_dict())


def test_findings_name_the_epochs_with_alarms(make_work, monkeypatch):
    monkeypatch.setattr("anyscope.adaptation.style.hallucination.MOST_INVENTED", -1.0)
    work = make_work()
    CUT(**TINY).run(work)
    document = json.loads((work.folder / "findings.json").read_text())
    assert any(
        alarm.startswith("epochs 1, 2, 3, 4 of 4 examined: structure was invented on") for alarm in document["alarms"]
    )
