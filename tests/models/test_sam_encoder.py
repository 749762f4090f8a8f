"""The encoders, against segment-anything's own code and published numbers."""

from __future__ import annotations

import pytest
import torch

from anyscope.models.nets.sam_encoder import (
    HIERA,
    PLAIN,
    HieraEncoder,
    MobileEncoder,
    PlainEncoder,
    PlainSize,
    SamEncoder,
    build_encoder,
    tap_blocks,
)
from anyscope.models.nets.sam_weights import adopt

from .sam import for_size, official


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ours(source, **options):
    """Our encoder with the weights of an official one."""
    encoder = PlainEncoder("samvit_nano", 3, **options).eval()
    state = {f"image_encoder.{key}": tensor for key, tensor in source.state_dict().items()}
    encoder.load_state_dict(adopt(encoder, 3, state, "a file").tensors)
    return encoder


@pytest.mark.parametrize("shape", [(1024, 1024), (512, 512), (256, 256), (16, 16), (208, 336)])
@torch.inference_mode()
def test_the_output_is_that_of_segment_anything(shape, monkeypatch):
    if shape == (1024, 1024):  # 4096 patches are slow; the full size is a slow test
        monkeypatch.setitem(PLAIN, "samvit_nano", PlainSize("small", 16, 2, 2, (1,)))
    source = official()
    encoder = ours(source, neck=True)
    expected = for_size(source, *shape)(x := images(1, 3, *shape))
    found = encoder(x)[-1]
    assert found.shape == (1, 256, shape[0] // 16, shape[1] // 16)
    assert expected.std() > 0.5
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("taps", "blocks"), [("global", (1, 3, 5, 7)), ("published", (0, 2, 4, 6))])
@torch.inference_mode()
def test_features_are_those_behind_the_blocks(taps, blocks):
    source = official()
    encoder = ours(source, taps=taps)
    assert len(encoder.blocks) == blocks[-1] + 1  # what nothing depends on is not there
    behind = []
    for block in source.blocks:
        block.register_forward_hook(lambda _, inputs, output: behind.append(output.permute(0, 3, 1, 2)))
    for_size(source, 128, 128)(x := images(1, 3, 128, 128))
    found = encoder(x)
    assert [each.shape for each in found] == [(1, 128, 8, 8)] * 4
    for feature, block in zip(found, blocks, strict=True):
        assert (feature - behind[block]).abs().max() < 1e-4 * behind[block].abs().max()


def test_taps_of_the_publications():
    assert [tap_blocks(PLAIN[name], "global") for name in ("samvit_large_patch16", "samvit_huge_patch16")] == [
        (5, 11, 17, 23),
        (7, 15, 23, 31),
    ]
    assert tap_blocks(PLAIN["samvit_huge_patch16"], "published") == (0, 8, 16, 24)


@torch.inference_mode()
def test_without_positions_an_encoder_is_one_whose_positions_are_zero():
    source = official()
    keeping, dropping = ours(source, neck=True), ours(source, neck=True, position="drop")
    assert dropping.pos_embed is None
    x = images(1, 3, 64, 64)
    assert (keeping(x)[-1] - dropping(x)[-1]).abs().max() > 0.1
    keeping.pos_embed.zero_()
    assert torch.equal(keeping(x)[-1], dropping(x)[-1])


@pytest.mark.parametrize(
    ("name", "millions"),
    [("samvit_base_patch16", 89.7), ("samvit_large_patch16", 308.3), ("samvit_huge_patch16", 637.0)],
)
def test_parameters_as_published(name, millions):
    with torch.device("meta"):
        encoder = PlainEncoder(name, 3, neck=True)
    assert round(sum(weight.numel() for weight in encoder.parameters()) / 1e6, 1) == millions


@pytest.mark.slow
@torch.inference_mode()
def test_vit_b_is_that_of_segment_anything():
    """90 million parameters, an image of 1024 pixels; the files of the hub have the same names and shapes."""
    source = official(name="samvit_base_patch16")
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.mul_(0.2 if parameter.ndim == 2 else 1)  # deviation .02, as such networks have
    encoder = PlainEncoder("samvit_base_patch16", 3, neck=True).eval()
    state = {f"image_encoder.{key}": tensor for key, tensor in source.state_dict().items()}
    encoder.load_state_dict(adopt(encoder, 3, state, "a file").tensors)
    x = images(1, 3, 1024, 1024)
    difference = (encoder(x)[-1] - source(x)).abs().max().item()
    print(f"largest difference {difference:.2e}")
    assert difference < 1e-4


@pytest.mark.parametrize("name", ["samvit_nano", "sam2_hiera_tiny"])
def test_checkpointing_gives_the_same_gradients_and_keeps_less(name):
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        encoder = build_encoder(name, 1, "global", "keep", False, checkpointing).train()
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = sum(each.square().mean() for each in encoder(images(1, 1, 64, 64)))
        loss.backward()
        results.append((kept, {key: weight.grad for key, weight in encoder.named_parameters()}))
    (much, expected), (little, found) = results
    assert little < much / 3
    for key, gradient in expected.items():
        assert torch.allclose(found[key], gradient, atol=1e-6), key


@pytest.mark.parametrize("name", HIERA)
def test_stages_of_hiera(name):
    with torch.device("meta"):
        encoder = build_encoder(name, 1, "global", "keep", False, False)
        features = encoder(torch.zeros(1, 1, 96, 160))
    assert encoder.strides == (4, 8, 16, 32)
    expected = [(1, c, 96 // s, 160 // s) for c, s in zip(encoder.channels, encoder.strides, strict=True)]
    assert [tuple(each.shape) for each in features] == expected


def test_stages_of_mobile_sam():
    encoder = MobileEncoder(1).eval()
    assert (encoder.channels, encoder.strides) == ((64, 128, 160, 320), (4, 8, 16, 16))
    with torch.inference_mode():
        features = encoder(images(1, 1, 64, 96))
    assert [tuple(each.shape[1:]) for each in features] == [(64, 16, 24), (128, 8, 12), (160, 4, 6), (320, 4, 6)]


def test_gradients_can_be_asked_for_again_in_evaluation():
    """TinyViT remembers its attention biases in evaluation, with the graph of the pass before: attacks take many."""
    encoder = MobileEncoder(1).eval()
    with torch.inference_mode():
        encoder(images(1, 1, 32, 32))
    gradients = []
    for _ in range(2):
        x = images(1, 1, 32, 32).requires_grad_()
        encoder(x)[-1].square().mean().backward()
        gradients.append(x.grad)
    assert gradients[0].any()
    assert torch.equal(*gradients)
    biases = [weight for name, weight in encoder.named_parameters() if name.endswith("attention_biases")]
    assert biases
    assert all(weight.grad.any() for weight in biases)


def test_an_encoder_says_what_its_features_are():
    with pytest.raises(TypeError, match="abstract method '?forward"):
        SamEncoder()


def test_hiera_has_no_classifier():
    with torch.device("meta"):
        encoder = HieraEncoder("sam2_hiera_tiny", 3)
    assert not any("head" in key for key in encoder.state_dict())
