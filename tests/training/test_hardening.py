"""Robust training: what is drawn, the ball, resuming, and a tiny training for each name."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.workflows.conftest import tiny, write_blobs

import anyscope
from anyscope.corruptions import CORRUPTIONS
from anyscope.corruptions.mechanisms import MECHANISMS, mechanism_of
from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec, build_segmenter, load_segmenter
from anyscope.training.course import Course
from anyscope.training.hardening import HARDENINGS, hardening

NAMES = list(HARDENINGS)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("robust") / "data")


@pytest.fixture
def segmenter():
    spec = SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic")
    return build_segmenter(spec, 0).train()


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand((6, 1, 32, 32), generator=random) > 0.5).float()
    images = (0.2 + 0.5 * labels + 0.1 * torch.rand((6, 1, 32, 32), generator=random)).clamp(0, 1)
    labels[0, 0, :4] = torch.nan
    return {"images": images, "targets": labels, "valid": torch.ones((6, 32, 32), dtype=torch.bool)}


def test_every_corruption_has_a_mechanism():
    assert {mechanism_of(name) for name in CORRUPTIONS} == set(MECHANISMS)
    with pytest.raises(BadInput, match="contrast"):
        mechanism_of("contrats")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_its_seed_and_nothing_else_changes(name, segmenter, batch):
    method = hardening(name, {"share": 1})
    before = copy.deepcopy(batch), copy.deepcopy(segmenter.state_dict()), torch.get_rng_state()
    spoiled = method(batch, segmenter, range(6))
    assert spoiled["images"].shape == batch["images"].shape
    assert 0 <= spoiled["images"].min() <= spoiled["images"].max() <= 1
    assert all((a != b).any() for a, b in zip(spoiled["images"], batch["images"], strict=True))
    alone = method({key: value[2:3] for key, value in batch.items()}, segmenter, [2])
    torch.testing.assert_close(alone["images"], spoiled["images"][2:3], rtol=0, atol=1e-6)
    assert torch.equal(spoiled["targets"].nan_to_num(7), batch["targets"].nan_to_num(7))
    for key, value in before[0].items():
        assert torch.equal(batch[key].nan_to_num(7), value.nan_to_num(7))
    assert all(torch.equal(value, before[1][key]) for key, value in segmenter.state_dict().items())
    assert all(module.training for module in segmenter.modules())
    assert all(each.grad is None for each in segmenter.parameters())
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_share_of_the_images_is_spoiled(segmenter, batch):
    many = {key: value.repeat(40, *(1,) * (value.ndim - 1)) for key, value in batch.items()}
    spoiled = hardening("noise", {"share": 0.25})(many, segmenter, range(240))
    changed = (spoiled["images"] != many["images"]).flatten(1).any(dim=1).float().mean()
    assert 0.15 < float(changed) < 0.35


@pytest.mark.parametrize("name", ["adversarial", "fast-adversarial"])
def test_adversarial_images_stay_within_epsilon_and_raise_the_loss(name, segmenter, batch):
    spoiled = hardening(name, {"share": 1, "epsilon_grey": 6})(batch, segmenter, range(6))
    change = (spoiled["images"] - batch["images"]).abs()
    assert float(change.max()) <= 6 / 255 + 1e-6
    assert float(change.mean()) > 1 / 255
    segmenter.eval()

    def loss(images):
        with torch.no_grad():
            z = segmenter(images)
        target = batch["targets"].nan_to_num(0)
        each = torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="none")
        return float(each[batch["targets"].isfinite()].mean())

    assert loss(spoiled["images"]) > loss(batch["images"])


def test_held_out_mechanisms_are_never_drawn(segmenter, batch, monkeypatch):
    seen = set()
    for name, kind in CORRUPTIONS.items():

        def spy(self, images, seeds, acquisition=None, *, name=name, call=kind.__call__):
            seen.add((name, self))
            return call(self, images, seeds, acquisition)

        monkeypatch.setattr(kind, "__call__", spy)
    method = hardening("corruptions", {"share": 1, "held_out": ["noise", "sampling"], "severities": [2]})
    for first in range(0, 600, 6):
        method(batch, segmenter, range(first, first + 6))
    names = {name for name, _ in seen}
    assert names == set(method.drawn)
    assert {mechanism_of(name) for name in names} == {"blur", "light", "artefacts"}
    assert all(one == type(one).at(2) for _, one in seen)
    record = method.record()
    assert record["held_out"] == ["geometry", "noise", "sampling"]
    assert set(record["seen"]) == names


def test_destroyed_pixels_do_not_count(segmenter, batch):
    method = hardening("corruptions", {"share": 1, "held_out": ["noise", "blur", "light", "sampling"]})
    spoiled = method(batch, segmenter, range(6))
    assert not spoiled["valid"].all()


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_training_of_each_name_is_resumed_bit_for_bit(name, blobs, tmp_path, monkeypatch):
    settings = tiny(robust=name, ema=0.5)
    anyscope.train(blobs, tmp_path / "whole", settings=settings, device="cpu")

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patched:
        from anyscope.training.loop import SupervisedCourse

        step = SupervisedCourse.step

        def stopping(self: Course, number: int):
            if number == 6:
                raise Killed
            return step(self, number)

        patched.setattr(SupervisedCourse, "step", stopping)
        with pytest.raises(Killed):
            anyscope.train(blobs, tmp_path / "killed", settings=settings, device="cpu")
    anyscope.train(blobs, tmp_path / "killed", settings=settings, device="cpu", resume=True)
    whole, resumed = (load_segmenter(tmp_path / folder) for folder in ("whole", "killed"))
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())
    record = whole.spec.provenance["robust"]
    assert record["name"] == name
    assert record["parameters"]["share"] == 0.5
    if name == "corruptions":
        assert record["held_out"] == ["geometry", "blur", "artefacts"]


def test_robust_training_is_not_plain_training(blobs, tmp_path):
    for folder, robust in (("plain", None), ("noise", "noise")):
        anyscope.train(blobs, tmp_path / folder, settings=tiny(epochs=1, robust=robust), device="cpu")
    plain, noise = (load_segmenter(tmp_path / folder) for folder in ("plain", "noise"))
    assert plain.spec.provenance["robust"] is None
    assert not all(torch.equal(value, noise.state_dict()[key]) for key, value in plain.state_dict().items())


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("adversrial", {}, "did you mean 'adversarial'"),
        ("adversarial", {"epsilon": 4}, "did you mean 'epsilon_grey'"),
        ("adversarial", {"epsilon_grey": 0}, "above 0"),
        ("adversarial", {"steps": 0}, "1 or more"),
        ("adversarial", {"steps": "many"}, "valid integer"),
        ("fast-adversarial", {"steps": 3}, "has more"),
        ("corruptions", {"held_out": ["blurr"]}, "did you mean 'blur'"),
        ("corruptions", {"held_out": ["noise", "blur", "light", "sampling", "artefacts"]}, "at least one"),
        ("corruptions", {"severities": [6]}, "1, 2, 3, 4, 5"),
        ("noise", {"share": 0}, "above 0"),
        ("noise", {"sigma_grey": -1}, "above 0"),
    ],
)
def test_what_cannot_be(name, arguments, words):
    with pytest.raises(BadInput, match=words):
        hardening(name, arguments)


def test_noise_is_as_strong_as_it_says(segmenter):
    grey = {"images": torch.full((60, 1, 64, 64), 0.5), "targets": torch.zeros((60, 1, 64, 64)),
            "valid": torch.ones((60, 64, 64), dtype=torch.bool)}  # fmt: skip
    spoiled = hardening("noise", {"share": 1, "sigma_grey": 20})(grey, segmenter, range(60))["images"]
    sigmas = spoiled.flatten(1).std(dim=1).numpy() * 255
    assert 18 < sigmas.max() <= 20.5
    assert np.mean(sigmas) == pytest.approx(10, abs=2.5)  # evenly from 0 to 20
