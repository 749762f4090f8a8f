"""Segmenter on a vision transformer, and HRNet."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import timm
import torch
import torch.nn.functional as F

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter
from anyscope.models.nets.vit import MaskTransformer, SegmenterArguments


def parameters(net):
    return sum(weight.numel() for weight in net.parameters())


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return MODELS["segmenter"].build(1, 2, encoder="test_vit").eval()


def test_parameters_of_segmenter():
    """By hand; the paper's table 3 gives 7 million for Seg-T-Mask/16 with 150 classes."""
    with torch.device("meta"):
        net = MODELS["segmenter"].build(3, 150)
    d, blocks = 192, 12 + 2
    block = 2 * 2 * d + (d + 1) * 3 * d + (d + 1) * d + (d + 1) * 4 * d + (4 * d + 1) * d
    encoder = (3 * 16 * 16 + 1) * d + (24 * 24 + 1) * d + d + 2 * d
    decoder = (d + 1) * d + 150 * d + 2 * d + 2 * d * d + 2 * 150
    assert parameters(net) == blocks * block + encoder + decoder
    assert round(parameters(net) / 1e6) == 7


def test_patches_lie_where_they_were(small, monkeypatch):
    """Tokens are numbered; behind the class token they fill the map row by row."""
    tokens = torch.arange(1 + 2 * 3).float().view(1, -1, 1)
    monkeypatch.setattr(small.encoder, "forward_features", lambda x: tokens)
    monkeypatch.setattr(small, "prefix", 1)
    monkeypatch.setattr(small, "decoder", torch.nn.Identity())
    expected = F.interpolate(torch.arange(1.0, 7).view(1, 1, 2, 3), scale_factor=16, mode="bilinear")
    assert torch.equal(small(torch.zeros(1, 1, 32, 48)), expected)


def test_logits_are_scaled_cosines():
    torch.manual_seed(0)
    decoder = MaskTransformer(64, 3, SegmenterArguments()).eval()
    patches = torch.randn(2, 40, 64)
    logits = decoder(patches)
    assert logits.abs().max() <= 8  # the square root of the channels
    with torch.no_grad():
        decoder.factor.zero_()
        decoder.offset.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(decoder(patches), torch.tensor([1.0, 2.0, 3.0]).expand(2, 40, 3))


def test_a_single_logit_still_tells_patches_apart():
    torch.manual_seed(0)
    logits = MaskTransformer(64, 1, SegmenterArguments()).eval()(torch.randn(1, 40, 64))
    assert logits.std() > 0.1


def test_dropout_and_drop_path_act_in_training_only():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 32, 32)
    for arguments in ({"dropout": 0.5, "drop_path": 0}, {"dropout": 0, "drop_path": 0.9}):
        net = MODELS["segmenter"].build(1, 1, encoder="test_vit", **arguments)
        trained = torch.stack([net(x) for _ in range(8)])
        assert (trained != trained[0]).any()
        net.eval()
        assert torch.equal(net(x), net(x))


def test_the_decoder_has_as_many_layers_as_asked():
    nets = [MODELS["segmenter"].build(1, 1, encoder="test_vit", layers=layers) for layers in (1, 3)]
    assert [len(net.decoder.blocks) for net in nets] == [1, 3]


@pytest.mark.parametrize(
    ("name", "encoder", "words"),
    [
        ("segmenter", "resnet18", "plain vision transformer"),
        ("segmenter", "vit_huge_nowhere", "plain vision transformer"),
        ("hrnet", "resnet18", "one of hrnet_w18"),
    ],
)
def test_encoders_that_do_not_fit(name, encoder, words, spec_of):
    with pytest.raises(BadInput, match=words) as caught:
        build_segmenter(spec_of(name, arguments={"encoder": encoder}), 0)
    assert "\n" not in str(caught.value)


def test_hrnet_scores_four_scales():
    with torch.device("meta"):
        net = MODELS["hrnet"].build(1, 3)
        scales = net.encoder(torch.zeros(1, 1, 64, 96))
    assert [tuple(scale.shape[1:]) for scale in scales] == [(18, 16, 24), (36, 8, 12), (72, 4, 6), (144, 2, 3)]
    assert parameters(net.head) == (270 + 1) * 270 + 2 * 270 + (270 + 1) * 3


def test_the_head_of_hrnet_sees_all_scales_at_the_finest_size(monkeypatch):
    torch.manual_seed(0)
    net = MODELS["hrnet"].build(1, 2, encoder="hrnet_w18_small").eval()
    channels = net.encoder.feature_info.channels()
    scales = [torch.rand(1, c, 16 >> n, 24 >> n) for n, c in enumerate(channels)]
    monkeypatch.setattr(net.encoder, "forward", lambda x: scales)
    joined = torch.cat([F.interpolate(scale, (16, 24), mode="bilinear") for scale in scales], dim=1)
    expected = F.interpolate(net.head(joined), scale_factor=4, mode="bilinear")
    assert torch.allclose(net(torch.zeros(1, 1, 64, 96)), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "encoder"), [("segmenter", "test_vit"), ("hrnet", "hrnet_w18_small")])
def test_imagenet_weights(name, encoder, spec_of, monkeypatch):
    """The hub is played by a network with random weights."""
    create, asked = timm.create_model, []

    def fetched(model, *, pretrained, **options):
        asked.append(pretrained)
        return create(model, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", fetched)
    monkeypatch.setattr("anyscope.models.nets.imagenet.reaching_the_hub", nullcontext)
    segmenter = build_segmenter(spec_of(name, arguments={"encoder": encoder}), 0, "imagenet")
    assert asked == [True]
    expected = timm.get_pretrained_cfg(encoder).mean
    assert segmenter.mean.item() == pytest.approx(sum(expected) / 3)
    assert f"{encoder} trained on ImageNet" in segmenter.spec.weights


@pytest.mark.parametrize(("name", "encoder"), [("segmenter", "vit_tiny_patch16_384"), ("hrnet", "hrnet_w18_small")])
def test_weights_that_cannot_be_fetched_are_an_error(name, encoder, spec_of, monkeypatch, tmp_path):
    from anyscope.errors import EnvironmentFault

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="cannot be fetched"):
        build_segmenter(spec_of(name, arguments={"encoder": encoder}), 0, "imagenet")
