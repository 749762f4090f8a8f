from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from skimage.transform import resize
from torch import nn

from anyscope.adaptation.pretraining import PretextCourse, Pretraining, crappify, pretext_network
from anyscope.adaptation.supervised import Supervised
from anyscope.errors import BadInput
from anyscope.models import InputTransform, SegmenterSpec, build_segmenter
from anyscope.training.settings import train_settings

from .stopping import run_and_kill

QUICK = Pretraining(epochs=2, steps_per_epoch=3, batch=3)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_noise_it_is_a_mean_of_four_and_bilinear_back():
    """Half the size of an even image by bilinear interpolation is the mean of 2 x 2; scikit-image brings it back."""
    image = np.random.default_rng(0).random((12, 16)).astype(np.float32)
    coarse = image.reshape(6, 2, 8, 2).mean(axis=(1, 3))
    expected = resize(coarse, (12, 16), order=1, mode="edge")
    found = crappify(torch.from_numpy(image)[None, None], 0.0, draws())
    assert np.allclose(found[0, 0].numpy(), expected, atol=1e-5)


def test_noise_has_the_strength_of_a_share_of_the_largest_value():
    flat = torch.full((1, 1, 400, 400), 0.4)
    flat[..., 0, 0] = 0.8  # the largest value, at which the noise is cut
    found = crappify(flat, 0.1, draws())[..., 2:-2, 2:-2]
    # a mean of four has half the deviation, and bilinear interpolation by two leaves (9 + 1 + 2 * 3) / 16 = 10 / 16
    # of the deviation along each axis: weights 3/4 and 1/4
    assert found.std().item() == pytest.approx(0.08 / 2 * (0.75**2 + 0.25**2), rel=0.03)
    assert found.mean().item() == pytest.approx(0.4, abs=0.002)


@given(height=st.integers(2, 17), width=st.integers(2, 17), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_values_stay_between_zero_and_the_largest(height, width, share, seed):
    images = torch.rand(2, 1, height, width, generator=draws(seed)) * 0.7
    found = crappify(images, share, draws(seed), varied=bool(seed % 2))
    assert found.shape == images.shape
    assert float(found.min()) >= 0
    for before, after in zip(images, found, strict=True):
        assert float(after.max()) <= float(before.max()) + 1e-6


def test_varied_strength_is_between_none_and_the_share():
    flat = torch.full((64, 1, 32, 32), 0.5)
    flat[..., 0, 0] = 1.0
    deviations = crappify(flat, 0.2, draws(), varied=True)[..., 4:, 4:].std(dim=(1, 2, 3))
    whole = crappify(flat, 0.2, draws())[..., 4:, 4:].std(dim=(1, 2, 3))
    assert float(deviations.min()) < 0.25 * float(whole.mean())
    assert float(deviations.max()) < 1.3 * float(whole.max())
    assert float(deviations.max()) > 0.7 * float(whole.mean())


def test_the_pretext_network_begins_as_the_segmenter_and_repairs_all_channels():
    spec = SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic", classes=4, neighbours=1)
    segmenter = build_segmenter(spec, 3)
    before = state(segmenter)
    net = pretext_network(segmenter, 0).eval()
    assert net(torch.rand(1, 3, 20, 20)).shape == (1, 3, 20, 20)
    assert {key for key, value in net.state_dict().items() if value.shape != before[key].shape} == {
        "net.head.weight",
        "net.head.bias",
    }
    now = net.state_dict()
    same = [key for key, value in before.items() if now[key].shape == value.shape and torch.equal(now[key], value)]
    assert len(same) == len(before) - 2
    assert not changed(before, segmenter)


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
    course = PretextCourse(QUICK, work, pretext_network(work.segmenter, 0))
    flags = [bool(course._patches[number]["of_target"]) for number in range(60)]
    assert 15 < sum(flags) < 45


def test_each_domain_is_shown_as_it_will_be(make_work):
    work = make_work()
    spec = work.segmenter.spec
    work.segmenter.spec = spec.model_copy(update={"input": InputTransform(levels=((1.0, 0.0),))})
    course = PretextCourse(QUICK, work, pretext_network(work.segmenter, 0))
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
