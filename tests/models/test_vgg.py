"""VGG16 and the two networks on it, FCN-8s and SegNet."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter
from anyscope.models.nets import vgg
from anyscope.models.nets.fcn import bilinear_upsampling
from anyscope.models.nets.segnet import unpool


def trained(net):
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def published_encoder(channels_in, norm):
    """Parameters of the 13 convolutions by hand, each with bias, and two for every channel of a normalisation."""
    channels = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    pairs = zip([channels_in, *channels], channels, strict=False)
    return sum(9 * before * after + after + 2 * after * (norm == "batch") for before, after in pairs)


class Donor(nn.Module):
    """VGG16 as torchvision builds it, and narrow fully connected layers as convolutions, as in timm."""

    def __init__(self, norm, in_channels=3):
        super().__init__()
        fully_connected = {"fc1": nn.Conv2d(512, 8, 7), "fc2": nn.Conv2d(8, 8, 1)}  # 4096 in truth
        self.pre_logits = nn.ModuleDict(fully_connected)
        self.features = make_layers(cfgs["D"], batch_norm=norm == "batch")
        if in_channels != 3:
            self.features[0] = nn.Conv2d(in_channels, 64, 3, padding=1)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_encoder_is_that_of_torchvision(norm):
    torch.manual_seed(0)
    donor, stages = Donor(norm).eval(), vgg.encoder(3, 1, norm).eval()
    assert trained(stages) == trained(donor.features) == published_encoder(3, norm)
    vgg.take_over(stages, donor)
    x = torch.rand(1, 3, 32, 64)
    expected = donor.features(x)
    for stage in stages:
        x = F.max_pool2d(stage(x), 2)
    assert torch.equal(x, expected)


@pytest.mark.parametrize(("classes", "classifier"), [(1, 0), (21, 0), (21, 4096)])
def test_parameters_of_fcn8s(classes, classifier):
    with torch.device("meta"):
        net = MODELS["fcn8s"].build(3, classes, norm="none", classifier=classifier)
    deepest = classifier or 512
    fully_connected = (49 * 512 + 1) * 4096 + (4096 + 1) * 4096 if classifier else 0
    scores = (deepest + 1) * classes + (512 + 1) * classes + (256 + 1) * classes
    upsampling = 2 * 4 * 4 * classes**2  # that of 16 x 16 stays bilinear
    assert trained(net) == published_encoder(3, "none") + fully_connected + scores + upsampling
    if classifier:
        assert round(trained(net) / 1e6) == 134  # as published, table 1


@pytest.mark.parametrize("factor", [2, 8])
def test_upsampling_starts_bilinear_and_keeps_channels_apart(factor):
    x = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    found = bilinear_upsampling(3, factor)(x)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    assert found.shape == expected.shape
    assert torch.allclose(found[inside], expected[inside], atol=1e-6)


def test_fcn8s_adds_the_scores_of_three_depths():
    torch.manual_seed(0)
    net = MODELS["fcn8s"].build(1, 2, width=0.05).eval()
    x = torch.rand(1, 1, 64, 96)
    pooled, features = [], x
    for stage in net.stages:
        features = F.max_pool2d(stage(features), 2)
        pooled.append(features)

    def up(scores, factor):
        return F.conv_transpose2d(scores, bilinear_upsampling(2, factor).weight, stride=factor, padding=factor // 2)

    expected = up(up(up(net.score5(pooled[4]), 2) + net.score4(pooled[3]), 2) + net.score3(pooled[2]), 8)
    assert torch.allclose(net(x), expected, atol=1e-5)


def test_only_the_last_upsampling_of_fcn8s_is_fixed():
    net = MODELS["fcn8s"].build(1, 1, width=0.05, classifier=8)
    assert [name for name, weight in net.named_parameters() if not weight.requires_grad] == ["up3.weight"]


def test_parameters_and_mirror_of_segnet():
    with torch.device("meta"):
        net = MODELS["segnet"].build(1, 4)
    layers = [layer for stage in net.up for layer in stage if isinstance(layer, nn.Conv2d)] + [net.head]
    up = [(512, 512)] * 5 + [(512, 256), (256, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64), (64, 4)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == up
    normalised = sum(9 * before * after + 3 * after for before, after in up[:-1])
    assert trained(net) == published_encoder(1, "batch") + normalised + 9 * 64 * 4 + 4


def test_unpooling_puts_maxima_back_where_they_were():
    x = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    returned = unpool(values, indices)
    windows = F.interpolate(values, scale_factor=2)
    assert torch.equal(returned, torch.where(x == windows, x, 0))
    other = torch.rand(values.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(unpool(other, indices), F.max_unpool2d(other, indices, 2))


def test_a_poisoned_maximum_marks_all_places_where_it_could_lie():
    x = torch.zeros(1, 1, 4, 4)
    x[..., 2, 1] = torch.nan
    marked = unpool(*F.max_pool2d(x, 2, return_indices=True)).isnan()[0, 0]
    assert marked[2:, :2].all()
    assert marked.sum() == 4


@pytest.mark.parametrize("arguments", [{"width": 0}, {"width": 9}, {"classifier": -1}, {"norm": "group"}])
def test_wrong_arguments(arguments):
    with pytest.raises(BadInput, match=next(iter(arguments))):
        MODELS["fcn8s"].build(1, 1, **arguments)


@pytest.fixture
def fetched(monkeypatch):
    """The hub, played by torchvision's layout with random weights: what was fetched."""
    import timm

    donors = []

    def fetch(model, *, pretrained, in_chans, num_classes):
        assert (model, pretrained) == ("vgg16_bn.tv_in1k", True)
        donors.append(Donor("batch", in_chans))
        return donors[-1]

    monkeypatch.setattr(timm, "create_model", fetch)
    monkeypatch.setattr(vgg, "reaching_the_hub", nullcontext)
    monkeypatch.setattr(vgg, "initialise", lambda module: None)  # of what is not fetched, and takes a while
    return donors


@pytest.mark.parametrize(("name", "stages"), [("fcn8s", "stages"), ("segnet", "down")])
def test_imagenet_weights(name, stages, spec_of, fetched):
    segmenter = build_segmenter(spec_of(name, arguments={}), 0, "imagenet")
    [donor] = fetched
    taken = segmenter.net.get_submodule(stages).state_dict().values()
    assert all(torch.equal(*pair) for pair in zip(taken, donor.features.state_dict().values(), strict=True))
    assert segmenter.mean.item() == pytest.approx(sum(vgg.MEAN) / 3)
    assert "vgg16_bn trained on ImageNet" in segmenter.spec.weights
    with pytest.raises(BadInput, match="width"):
        build_segmenter(spec_of(name, arguments={"width": 0.5}), 0, "imagenet")


def test_imagenet_weights_of_the_classifier(spec_of, fetched):
    net = build_segmenter(spec_of("fcn8s", arguments={"classifier": 8}), 0, "imagenet").net
    assert torch.equal(net.classifier[0].weight, fetched[0].pre_logits["fc1"].weight)
    assert torch.equal(net.classifier[3].weight, fetched[0].pre_logits["fc2"].weight)
    other = build_segmenter(spec_of("fcn8s", arguments={"classifier": 4}), 0, "imagenet").net
    assert other.classifier[0].out_channels == 4


def test_the_layers_that_are_fetched_are_those_of_timm():
    import timm

    with torch.device("meta"):
        donor = timm.create_model("vgg16_bn.tv_in1k", num_classes=0)
        net = MODELS["fcn8s"].build(3, 1, classifier=4096)
    vgg.take_over(net.stages, donor)
    shapes = [net.classifier[0].weight.shape, net.classifier[3].weight.shape]
    assert shapes == [donor.pre_logits.fc1.weight.shape, donor.pre_logits.fc2.weight.shape]
