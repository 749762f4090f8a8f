"""The networks of image translation against their published layer lists, worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from anyscope.errors import BadInput
from anyscope.models.nets.antialias import BlurDown, BlurUp
from anyscope.models.nets.generators import ENTRIES, GeneratorArguments, ResidualBlock, ResnetGenerator
from anyscope.models.nets.patch_embedding import PatchEmbedding, draw_places
from anyscope.models.nets.patchgan import DiscriminatorArguments, PatchDiscriminator
from anyscope.models.receptive_field import receptive_field

(ENTRY,) = ENTRIES


def count(net):
    return sum(weight.numel() for weight in net.parameters())


def convolution(channels_in, channels_out, edge):
    return channels_in * channels_out * edge**2 + channels_out


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("channels", "published"), [(1, 11_365_633), (3, 11_378_179)])
@pytest.mark.parametrize("antialias", [True, False])
def test_parameters_of_the_generator_by_hand(channels, published, antialias):
    """CUT and CycleGAN print 11.378 M for three channels; blurring has no weights, so both have as many."""
    with torch.device("meta"):
        net = ResnetGenerator(channels, channels, GeneratorArguments(antialias=antialias))
    ends = convolution(channels, 64, 7) + convolution(64, channels, 7)
    halvings = convolution(64, 128, 3) + convolution(128, 256, 3)
    doublings = convolution(256, 128, 3) + convolution(128, 64, 3)
    assert count(net) == ends + halvings + 9 * 2 * convolution(256, 256, 3) + doublings == published


@pytest.mark.parametrize(("channels", "published"), [(1, 2_762_689), (3, 2_764_737)])
def test_parameters_of_the_discriminator_by_hand(channels, published):
    """CUT prints 2.765 M for three channels."""
    with torch.device("meta"):
        net = PatchDiscriminator(channels, DiscriminatorArguments())
    widths = (channels, 64, 128, 256, 512, 1)
    assert count(net) == sum(convolution(a, b, 4) for a, b in pairwise(widths)) == published


def test_parameters_of_the_embedding_by_hand():
    """CUT prints .560 M for the layers of the generator with three channels."""
    channels = (3, 128, 256, 256, 256)
    with torch.device("meta"):
        net = PatchEmbedding(channels)
    assert count(net) == sum(each * 256 + 256 + 256 * 256 + 256 for each in channels) == 560_384


def test_layers_are_numbered_as_published():
    net = ResnetGenerator(1, 1, GeneratorArguments(filters=4))
    assert net.contrast_layers == (0, 4, 8, 12, 16)
    x = noise(2, 1, 32, 40)
    padded, half, quarter, first, fifth = net.features(x, net.contrast_layers)
    assert torch.equal(padded, F.pad(x, (3, 3, 3, 3), mode="reflect"))
    assert half.shape == (2, 8, 32, 40)
    assert quarter.shape == (2, 16, 16, 20)
    assert first.shape == fifth.shape == (2, 16, 8, 10)
    assert isinstance(net.layers[12], ResidualBlock)
    assert isinstance(net.layers[20], ResidualBlock)
    assert not isinstance(net.layers[21], ResidualBlock)


@pytest.mark.parametrize(("blocks", "antialias", "layers"), [
    (1, True, (0, 4, 8, 12)), (4, True, (0, 4, 8, 12, 14)), (0, True, (0, 4, 8)), (9, False, (0, 4, 7, 10, 14)),
])  # fmt: skip
def test_contrast_layers_of_other_generators(blocks, antialias, layers):
    net = ResnetGenerator(1, 1, GeneratorArguments(filters=1, blocks=blocks, antialias=antialias))
    assert net.contrast_layers == layers


@pytest.mark.parametrize("arguments", [{}, {"antialias": False}, {"residual": True}, {"initialisation": "normal"}])
def test_images_of_images(arguments):
    net = ENTRY.build(2, 2, filters=4, blocks=2, **arguments)
    x = noise(2, 2, 20, 24).requires_grad_()
    made, features = net.forward_with_features(x, net.contrast_layers)
    assert made.shape == x.shape
    assert made.abs().max() <= 1
    assert torch.equal(made, net(x))
    assert all(torch.equal(a, b) for a, b in zip(features, net.features(x, net.contrast_layers), strict=True))
    made.square().mean().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert x.grad.abs().sum() > 0


def test_masks_become_images():
    net = ENTRY.build(2, 1, filters=4, blocks=1)
    assert net(noise(1, 2, 16, 16)).shape == (1, 1, 16, 16)
    with pytest.raises(BadInput, match="residual"):
        ENTRY.build(2, 1, filters=4, residual=True)


def test_a_new_residual_generator_is_nearly_the_identity():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ENTRY.build(1, 1, filters=8, blocks=2, residual=True)
    x = noise(1, 1, 32, 32)
    with torch.no_grad():
        assert (net(x) - x).abs().max() < 0.1
        assert net(torch.tensor([[[[-1.0, 1.0] * 4] * 8]])).isfinite().all()


def test_a_smallest_image():
    net = ENTRY.build(1, 1, filters=2, blocks=1)
    assert net(noise(1, 1, ENTRY.smallest, ENTRY.smallest)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize(("antialias", "pixels"), [(False, 70), (True, 84)])
def test_the_discriminator_sees_patches_of_70_pixels(antialias, pixels):
    """4 (last), 7, then per halving 2 r + 2 as strided convolution; anti-aliased, 2 r + 1 for the blur and 3 more."""
    net = PatchDiscriminator(1, DiscriminatorArguments(filters=1, antialias=antialias))
    net.layers = torch.nn.Sequential(*(each for each in net.layers if not isinstance(each, torch.nn.InstanceNorm2d)))
    x = torch.zeros(1, 1, 160, 160)
    numbers = net(x)
    marked = net.layers
    size = 0
    for poisoned in range(160):
        strip = x.clone()
        strip[..., poisoned, :] = torch.nan
        size += bool(marked(strip)[0, 0, numbers.shape[2] // 2].isnan().any())
    assert size == pixels


def test_the_discriminator_of_strided_convolutions_as_published():
    """256 pixels give 30 x 30 numbers."""
    net = PatchDiscriminator(3, DiscriminatorArguments(filters=2, antialias=False))
    with torch.no_grad():
        assert net(noise(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_blur_down_by_hand():
    line = torch.tensor([0.0, 0, 0, 4, 0, 0, 0, 8])
    x = line.expand(1, 2, 8, 8)
    # Pixel 2 has a quarter of pixel 3, pixel 4 as well, pixel 6 a quarter of pixel 7.
    assert torch.equal(BlurDown(2)(x)[0, 0, 0], torch.tensor([0.0, 1.0, 1.0, 2.0]))
    assert torch.allclose(BlurDown(1)(torch.ones(1, 1, 9, 7)), torch.ones(1, 1, 5, 4))


def test_blur_up_is_the_kernel_of_cut():
    x = noise(1, 1, 6, 5)
    line = torch.tensor([1.0, 3, 3, 1]) / 8
    kernel = torch.outer(line, line)[None, None] * 4
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    expected = F.conv_transpose2d(padded, kernel, stride=2, padding=2)[..., 1:-1, 1:-1]
    assert torch.allclose(BlurUp()(x), expected, atol=1e-6)


def test_embedding_takes_the_same_places_of_both():
    net = PatchEmbedding([2, 3], width=8)
    with torch.no_grad():
        for weight in net.parameters():
            weight *= 50  # new weights are tiny; lengths are then not far above what keeps them from 0
    random = torch.Generator().manual_seed(1)
    features = [noise(2, 2, 5, 6), noise(2, 3, 2, 3)]
    places = draw_places(features, 10, random)
    assert [len(each) for each in places] == [10, 6]
    assert all(len(each.unique()) == len(each) for each in places)
    first, second = net(features, places)
    assert first.shape == (2, 10, 8)
    assert second.shape == (2, 6, 8)
    assert torch.allclose(first.norm(dim=-1), torch.ones(2, 10), atol=1e-5)
    y, x = divmod(int(places[0][3]), 6)
    by_hand = net.heads[0](features[0][1, :, y, x])
    assert torch.allclose(first[1, 3], by_hand / by_hand.norm(), atol=1e-4)


def test_places_depend_on_the_generator_alone():
    maps = [torch.zeros(1, 1, 9, 9)]
    one, same, other = (draw_places(maps, 20, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_instance_normalisation_makes_every_pixel_depend_on_all():
    assert ENTRY.global_statistics
    assert receptive_field(ENTRY.build(1, 1, filters=1, blocks=1), 1, ENTRY.stride(None), ENTRY.smallest) is None
