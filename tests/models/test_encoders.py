from __future__ import annotations

import pytest
import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter
from anyscope.models.encoders import check_encoder, check_stages, encoder_names, stages_of, with_encoder, with_stages


def test_models_with_parts():
    assert set(MODELS) - set(with_encoder()) == {"icnet", "hrnet"}
    assert set(with_encoder()) - set(with_stages()) == {"fcn8s", "segmenter", "dpt"}


@pytest.mark.parametrize("name", with_stages())
def test_the_stages_are_the_forward_pass(name, shared):
    segmenter = shared(name).eval()
    stages = stages_of(segmenter)
    side = max(2 * segmenter.stride, 64 if name != "pan" else 128)
    images = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        features = stages.encode(segmenter.prepare(images))
        last = stages.expand(features)
        logits = stages.head(last)
        assert torch.equal(logits, segmenter(images))
    assert features[-1].shape == (2, stages.channels, side // segmenter.stride, side // segmenter.stride)
    assert last.shape[:2] == (2, stages.width)


@pytest.mark.parametrize("name", with_encoder())
def test_the_encoder_is_what_the_bottleneck_depends_on(name, shared):
    segmenter = shared(name)
    names = encoder_names(segmenter)
    keys = [key for key, _ in segmenter.named_parameters()]
    inside = [key for key in keys if key.startswith(names.levels + names.bottleneck)]
    assert inside
    assert len(inside) < len(keys)
    assert all(any(key.startswith(prefix) for key in keys) for prefix in names.levels + names.bottleneck)
    if name not in with_stages():
        return
    segmenter.eval()
    side = 128 if name == "pan" else 2 * segmenter.stride
    with torch.enable_grad():
        bottleneck = stages_of(segmenter).encode(segmenter.prepare(torch.rand(1, 1, side, side)))[-1]
        parameters = dict(segmenter.named_parameters())
        trained = [key for key in keys if parameters[key].requires_grad]
        grads = torch.autograd.grad(bottleneck.sum(), [parameters[key] for key in trained], allow_unused=True)
    reached = {key for key, grad in zip(trained, grads, strict=True) if grad is not None}
    assert reached
    assert reached <= set(inside)


def test_the_bottleneck_of_a_unet_is_its_last_level(spec_of):
    names = encoder_names(build_segmenter(spec_of("unet_simple"), 0))
    assert names.levels == ("net.down.0.", "net.down.1.")
    assert names.bottleneck == ("net.down.2.",)


def test_a_model_without_the_parts_is_refused_with_models_that_work(spec_of):
    with pytest.raises(BadInput, match=r"model 'hrnet'.*pretrain.*unet, unet_small.*segmenter"):
        check_encoder("hrnet", "pretrain")
    with pytest.raises(BadInput, match=r"model 'dpt'.*y-net.*second decoder.*unet_small"):
        check_stages("dpt", "y-net")
    with pytest.raises(BadInput, match="icnet"):
        encoder_names(build_segmenter(spec_of("icnet"), 0))


def test_attention_unet_is_as_it_was_before_it_could_be_taken_apart(spec_of):
    """The forward pass as it was written before, on the same weights."""
    segmenter = build_segmenter(spec_of("attention_unet"), 4).eval()
    net = segmenter.net
    images = torch.rand(1, 1, 32, 48)
    x = (images - 0.5) / 0.25
    skips = []
    with torch.inference_mode():
        for level, convolutions in enumerate(net.down):
            x = convolutions(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, gate, merge in zip(net.up, net.gates, net.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([x, gate(x, skips.pop())], dim=1))
        assert torch.equal(net.head(x), segmenter(images))
