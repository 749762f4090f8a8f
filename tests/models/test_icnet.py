from __future__ import annotations

from contextlib import nullcontext

import pytest
import timm
import torch
import torch.nn.functional as F

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter
from anyscope.models.nets.icnet import CascadeFusion
from anyscope.models.nets.resnet import DilatedResNet18


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return timm.create_model("resnet18", in_chans=1, num_classes=0, output_stride=8)


def test_the_backbone_is_a_resnet_of_stride_8(theirs):
    ours = DilatedResNet18(1, 1)
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert torch.allclose(ours.eval()(x), theirs.eval().forward_features(x), atol=1e-5)
    assert ours(x, stages=2).shape == (1, 128, 8, 12)


def test_branches_see_the_image_at_three_sizes():
    net = MODELS["icnet"].build(2, 1, width=0.25).eval()
    x = torch.rand(1, 2, 64, 96)
    fine, middle, coarse = net.branches(x)
    assert fine.shape == (1, 16, 8, 12)
    assert middle.shape == (1, 32, 4, 6)
    assert coarse.shape == (1, 32, 2, 3)
    assert torch.allclose(middle, net.backbone(F.avg_pool2d(x, 2), stages=2), atol=1e-5)
    deepest = net.backbone(F.avg_pool2d(x, 4))
    pyramid = [F.interpolate(F.adaptive_avg_pool2d(deepest, n), (2, 3), mode="bilinear") for n in (1, 2, 3, 6)]
    assert torch.allclose(coarse, net.reduce(deepest + sum(pyramid)), atol=1e-5)


def test_parameters_by_hand():
    with torch.device("meta"):
        net = MODELS["icnet"].build(1, 1)
    backbone = 11_689_512 - 512_000 - 1000 - 2 * 49 * 64  # ResNet-18 less its classifier and two of three colours
    fine = 9 * (1 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64)
    reduce = 512 * 128 + 2 * 128
    fusions = 2 * (9 * 128 * 128 + 2 * 128 + 2 * 128 + 128 + 1) + 128 * 128 + 64 * 128
    assert sum(weight.numel() for weight in net.parameters()) == backbone + fine + reduce + fusions + 128 + 1


def test_fusion_adds_what_it_resized():
    torch.manual_seed(0)
    fusion = CascadeFusion(3, 2, 5, 1).eval()
    coarse, fine = torch.rand(1, 3, 2, 3), torch.rand(1, 2, 4, 6)
    fused, resized = fusion(coarse, fine)
    assert torch.equal(resized, F.interpolate(coarse, scale_factor=2, mode="bilinear"))
    expected = F.conv2d(resized, fusion.of_coarse[0].weight, padding=2, dilation=2)
    expected = expected + F.conv2d(fine, fusion.of_fine[0].weight)
    assert torch.allclose(fused, torch.relu(expected / (1 + 1e-5) ** 0.5), atol=1e-6)


def test_auxiliary_outputs():
    net = MODELS["icnet"].build(1, 3, width=0.25).eval()
    x = torch.rand(2, 1, 64, 96)
    logits, (eighth, sixteenth) = net.forward_training(x)
    assert torch.equal(logits, net(x))
    assert eighth.shape == (2, 3, 8, 12)
    assert sixteenth.shape == (2, 3, 4, 6)
    assert net.auxiliary_weights == (0.4, 0.16)


def test_imagenet_weights(theirs, spec_of, monkeypatch):
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, **options: asked.append((name, options)) or theirs)
    monkeypatch.setattr("anyscope.models.nets.icnet.reaching_the_hub", nullcontext)
    segmenter = build_segmenter(spec_of("icnet", arguments={}), 0, "imagenet")
    assert asked == [("resnet18.tv_in1k", {"pretrained": True, "in_chans": 1, "num_classes": 0})]
    assert torch.equal(segmenter.net.backbone.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    with pytest.raises(BadInput, match="width"):
        build_segmenter(spec_of("icnet", arguments={"width": 0.5}), 0, "imagenet")
