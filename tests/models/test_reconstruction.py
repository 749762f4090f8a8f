from __future__ import annotations

import pytest
import torch
from torch import nn

from anyscope.models.nets.domain_discriminators import FeatureDiscriminator, LabelDiscriminator
from anyscope.models.nets.reconstruction import ReconstructionDecoder


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
def test_the_image_has_the_size_that_the_levels_give(up):
    decoder = ReconstructionDecoder(24, (16, 8), 3, "group", "relu", (0.1, 0.0), up)
    assert decoder(torch.rand(2, 24, 4, 6)).shape == (2, 3, 16, 24)


@pytest.mark.parametrize("finest", [16, 32])
def test_parameters_of_the_decoder_of_the_y_net(finest):
    """Counted by hand: a 2 x 2 transposed convolution and two 3 x 3 convolutions a level, all with biases."""
    widths = [finest * 2**level for level in range(5)]
    expected = finest + 1
    for below, width in zip(widths[1:], widths, strict=False):
        expected += 4 * below * width + width + 2 * (9 * width * width + width)
    decoder = ReconstructionDecoder(widths[-1], widths[-2::-1], 1, "none", "elu", (0.2, 0.2, 0.1, 0.1))
    assert parameters(decoder) == expected


def test_parameters_of_the_decoder_of_damt_net():
    """Counted by hand: two 3 x 3 convolutions a level, the first of which halves the channels; GroupNorm's two."""
    expected = 64 + 1
    for width in (512, 256, 128, 64):
        expected += 9 * 2 * width * width + 9 * width * width + 4 * width
    decoder = ReconstructionDecoder(1024, (512, 256, 128, 64), 1, "group", "relu", (0.0,) * 4, "bilinear")
    assert parameters(decoder) == expected


def test_the_output_is_linear():
    decoder = ReconstructionDecoder(8, (4,), 1, "none", "relu", (0.0,))
    nn.init.constant_(decoder.head.bias, -7.0)
    nn.init.zeros_(decoder.head.weight)
    assert torch.equal(decoder(torch.rand(1, 8, 2, 2)), torch.full((1, 1, 4, 4), -7.0))


def test_label_discriminator_as_published():
    """4 x 4 convolutions of two classes to 64, 128, 256, 512 and 1 channels, counted by hand."""
    assert parameters(LabelDiscriminator(2)) == 2112 + 131_200 + 524_544 + 2_097_664 + 8193
    assert LabelDiscriminator(2)(torch.rand(1, 2, 64, 96)).shape == (1, 1, 2, 3)


def test_feature_discriminator_as_published():
    """For 64 features of patches of 512 pixels, less one row of 144 weights and a bias of the last layer."""
    connected = 48 * 64 * 64 * 288 + 288 + 288 * 144 + 144
    convolutions = 64 * 48 * 9 + 48 + 2 * (48 * 48 * 9 + 48)
    with torch.device("meta"):
        net = FeatureDiscriminator(64, 64)
        assert net(torch.rand(2, 64, 512, 512)).shape == (2,)
    assert parameters(net) == convolutions + connected + 144 + 1


def test_feature_discriminator_takes_any_size_and_constant_features():
    net = FeatureDiscriminator(5, 4)
    assert net(torch.rand(3, 5, 50, 31)).shape == (3,)
    assert torch.isfinite(net(torch.ones(1, 5, 32, 32))).all()
