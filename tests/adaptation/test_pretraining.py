from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from anyscope.adaptation.pretraining import PretextCourse, Pretraining
from anyscope.adaptation.supervised import Supervised
from anyscope.errors import BadInput
from anyscope.models import InputTransform, SegmenterSpec
from anyscope.training.pretext import pretext_network
from anyscope.training.settings import train_settings

from .stopping import run_and_kill

QUICK = Pretraining(epochs=2, steps_per_epoch=3, batch=3, keep_encoder=True)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def test_every_tensor_is_reported_and_the_encoder_is_what_was_learned(make_work):
    work = make_work("pretrain", model="attention_unet", arguments={"filters": [4, 8, 12], "dropout": 0.1})
    before = state(work.segmenter)
    after = QUICK.run(work)
    assert after.frozen == ("net.down.0.", "net.down.1.")
    assert not after.kept()
    learned = load_file(work.folder / "pretext.safetensors")
    findings = json.loads((work.folder / "findings.json").read_text())
    report = findings["transfer"]
    assert set(report["loaded"]) == set(before)
    assert report["missing"] == report["unexpected"] == report["other_shape"] == []
    assert set(findings["frozen"]) == {key for key in before if key.startswith(after.frozen)}
    assert all(torch.equal(value, learned[key]) for key, value in after.segmenter.state_dict().items())
    assert {key for key in before if key.endswith("weight")} <= changed(before, after.segmenter)
    assert "pretext.safetensors" in after.segmenter.spec.weights


def test_the_last_layer_of_several_heads_is_reported_as_not_transferred(make_work):
    work = make_work("pretrain", heads=("mask", "boundary", "distance"), task="instances")
    before = state(work.segmenter)
    after = QUICK.run(work)
    findings = json.loads((work.folder / "findings.json").read_text())
    report = findings["transfer"]
    assert findings["alarms"] == []
    assert [each["tensor"] for each in report["other_shape"]] == ["net.head.bias", "net.head.weight"]
    assert report["other_shape"][0] == {"tensor": "net.head.bias", "in_file": [1], "here": [3]}
    assert not {"net.head.bias", "net.head.weight"} & changed(before, after.segmenter)


def test_training_afterwards_leaves_the_encoder_bit_for_bit(make_work):
    work = make_work("pretrain")
    after = QUICK.run(work)
    before = state(after.segmenter)
    training = replace(after, folder=work.folder.parent / "training")
    training.folder.mkdir()
    Supervised().run(training)
    moved = changed(before, training.segmenter)
    assert not any(key.startswith(after.frozen) for key in moved)
    assert any(key.startswith("net.down.1.") for key in moved)
    assert any(key.startswith("net.head") for key in moved)
    assert all(parameter.requires_grad for parameter in training.segmenter.parameters())


def test_the_encoder_can_be_left_free(make_work):
    assert QUICK.model_copy(update={"keep_encoder": False}).run(make_work("pretrain")).frozen == ()


def test_both_domains_are_repaired_half_and_half(work):
    course = PretextCourse(QUICK, work, pretext_network(work.segmenter, "crappify", 0))
    flags = [bool(course._patches[number]["of_target"]) for number in range(60)]
    assert 15 < sum(flags) < 45


def test_each_domain_is_shown_as_it_will_be(make_work):
    work = make_work()
    spec = work.segmenter.spec
    work.segmenter.spec = spec.model_copy(update={"input": InputTransform(levels=((1.0, 0.0),))})
    course = PretextCourse(QUICK, work, pretext_network(work.segmenter, "crappify", 0))
    images = torch.full((2, 1, 4, 4), 0.25)
    seen = course._seen(images, torch.tensor([False, True]))
    assert torch.allclose(seen[0], torch.tensor(0.25))
    assert torch.allclose(seen[1], torch.tensor(0.75))
    assert course._net.spec.input == InputTransform()


def test_it_learns_to_repair(make_work):
    work = make_work("pretrain")
    step = Pretraining(epochs=2, steps_per_epoch=30, batch=3, learning_rate=0.02)
    step.run(work)
    first, last = (record["train_loss"] for record in work.run.records())
    assert last < 0.8 * first


@pytest.mark.parametrize("step", [1, 4])
def test_killed_and_resumed_is_never_killed(make_work, step):
    whole, killed = make_work("whole/pretrain"), make_work("killed/pretrain")
    QUICK.run(whole)
    run_and_kill(lambda: QUICK.run(killed), PretextCourse, step)
    resumed = make_work("killed/pretrain")
    QUICK.run(resumed)
    assert not changed(state(whole.segmenter), resumed.segmenter)
    assert (killed.folder / "findings.json").read_text() == (whole.folder / "findings.json").read_text()


def test_paper_profile_is_the_published_one():
    step = Pretraining(**Pretraining.profiles["paper"])
    assert (step.epochs, step.batch, step.learning_rate) == (200, 6, 5e-4)
    assert (step.noise, step.varied, step.keep_encoder) == (0.3, False, True)
    settings = train_settings(**Pretraining.training["paper"])
    assert (settings.optimiser, settings.learning_rate, settings.schedule) == ("adam", 1e-4, "onecycle")
    assert (settings.batch, settings.epochs, settings.losses) == (5, 60, {"mask": "ce"})
    assert settings.model == "attention_unet"


def test_a_network_without_an_encoder_is_refused():
    with pytest.raises(BadInput, match=r"model 'hrnet'.*pretrain.*segmenter"):
        Pretraining().check(SegmenterSpec(model="hrnet", task="semantic"))
    Pretraining().check(SegmenterSpec(model="segmenter", task="semantic"))
