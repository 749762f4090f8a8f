"""AdaBN and TENT: statistics against numpy, entropy that falls, parameters that stay, networks that are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from anyscope.adaptation.refinement.batch_statistics import AdaBN, Moments, Tent
from anyscope.adaptation.refinement.course import batch_norms
from anyscope.adaptation.refinement.pseudo_labels import entropy
from anyscope.adaptation.refinement.views import still
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.models import InputTransform, SegmenterSpec, build_segmenter

FIRST = "net.down.0.1."
"""The first normalisation of a U-Net; its input is the first convolution of the image."""


def spec(model, **arguments):
    return SegmenterSpec(model=model, arguments=arguments, task="semantic")


@pytest.mark.parametrize("kind", [AdaBN, Tent])
@pytest.mark.parametrize(
    ("model", "arguments"),
    [("attention_unet", {}), ("unet_simple", {"norm": "group"}), ("unet_simple", {"norm": "none"})],
)
def test_networks_without_batch_normalisation_are_refused(kind, model, arguments):
    with pytest.raises(BadInput, match=f"model '{model}'.*no batch normalisation, which {kind.name} works on"):
        kind().check(spec(model, **arguments))


@pytest.mark.parametrize(
    ("model", "arguments"),
    [("unet_simple", {}), ("segnet", {"width": 0.1}), ("smp_unet", {"encoder": "tu-resnet10t"})],
)
def test_batch_normalisation_of_every_library_is_found(model, arguments):
    AdaBN().check(spec(model, **arguments))
    segmenter = build_segmenter(spec(model, **arguments), 0)
    state = segmenter.state_dict()
    assert len(batch_norms(segmenter.net)) == sum(key.endswith("running_var") for key in state)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_moments_are_those_of_all_maps_together(sizes, seed):
    random = np.random.default_rng(seed)
    maps = [random.normal(random.normal(0, 3), 2, (size, 3, 4, 5)) + 100 for size in sizes]
    moments = Moments()
    for each in maps:
        moments.add(torch.from_numpy(each).float())
    every = np.concatenate(maps).astype(np.float32).transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
    assert moments.mean.numpy() == pytest.approx(every.mean(1), rel=1e-9)
    assert moments.variance.numpy() == pytest.approx(every.var(1, ddof=1), rel=1e-7)


@pytest.fixture
def darkened(make_work):
    """A work whose segmenter sees the target through its input transform."""
    work = make_work()
    shown = work.segmenter.spec.model_copy(update={"input": InputTransform(levels=((0.2, 0.9),))})
    return replace(work, segmenter=build_segmenter(shown, 1))


def first_maps(work, count):
    """What enters the first normalisation for target patches, by hand."""
    patches = work.target_patches("target", augmentation=still(work.settings.augmentation))
    images = torch.stack([patches[number]["images"] for number in range(count)])
    segmenter = work.segmenter
    levels = segmenter.spec.input.levels
    if levels:
        images = levels[0][0] + images * (levels[0][1] - levels[0][0])
    weight = segmenter.net.down[0][0].weight
    with torch.no_grad():
        maps = nn.functional.conv2d((images - segmenter.mean) / segmenter.std, weight, padding=1)
    return maps.double().transpose(0, 1).flatten(1).numpy()


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_first_statistics_of_adabn_are_those_worked_by_hand(darkened, share):
    AdaBN(patches=6, batch=2, share=share).run(darkened)
    before, after = (load_file(darkened.kept()[epoch]) for epoch in (0, 1))
    maps = first_maps(darkened, 6)
    assert after[f"{FIRST}running_mean"].numpy() == pytest.approx(share * maps.mean(1), abs=1e-5)
    expected = share * maps.var(1, ddof=1) + (1 - share)
    assert after[f"{FIRST}running_var"].numpy() == pytest.approx(expected, rel=1e-4)
    learned = [key for key in before if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(before[key], after[key]) for key in learned)


def test_deeper_statistics_of_adabn_are_those_of_normalised_maps(darkened):
    """One batch: then every layer sees what it would see in training mode, which torch works out by itself."""
    AdaBN(patches=6, batch=6, share=1.0).run(darkened)
    after = load_file(darkened.kept()[1])
    reference = build_segmenter(darkened.segmenter.spec, 1).train()
    for layer in batch_norms(reference):
        layer.momentum = 1.0
    patches = darkened.target_patches("target", augmentation=still(darkened.settings.augmentation))
    with torch.no_grad():
        reference(torch.stack([patches[number]["images"] for number in range(6)]))
    for key, value in reference.state_dict().items():
        if "running" in key:
            assert torch.allclose(after[key], value, rtol=1e-4, atol=1e-5), key


def test_tent_lowers_the_entropy_by_scales_and_offsets_alone(work):
    Tent(epochs=3, steps_per_epoch=5, learning_rate=0.01).run(work)
    before, after = (load_file(work.kept()[epoch]) for epoch in (0, 3))
    layers = {name for name, layer in work.segmenter.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    for key in before:
        touched = key.rpartition(".")[0] in layers
        assert torch.equal(before[key], after[key]) != touched, key
    losses = [record["train_loss"] for record in work.run.records()]
    assert losses[2] < losses[0] - 0.01

    patches = work.target_patches("elsewhere")
    images = torch.stack([patches[number]["images"] for number in range(8)])
    segmenter = build_segmenter(work.segmenter.spec, 0).eval()
    with torch.no_grad():
        values = []
        for weights in (before, after):
            segmenter.load_state_dict(weights)
            values.append(float(entropy(segmenter(images), HeadLayout(("mask",)))))
    assert values[1] < values[0] - 0.01


def test_tent_keeps_running_statistics_of_the_target(work):
    Tent(epochs=1, steps_per_epoch=60, batch=2, learning_rate=1e-9).run(work)
    after = load_file(work.kept()[1])
    maps = first_maps(work, 120)
    assert after[f"{FIRST}running_mean"].numpy() == pytest.approx(maps.mean(1), abs=0.3 * float(maps.std()))
    assert after[f"{FIRST}running_var"].numpy() == pytest.approx(maps.var(1), rel=0.3)
