from __future__ import annotations

import pytest
import torch

from anyscope.errors import BadInput
from anyscope.models import MODELS
from anyscope.models.nets.normalisation import BatchNorm, tolerate_single_values
from anyscope.models.nets.unet import AuthorsGate, OktayGate


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def convolution(channels_in, channels_out, side, bias):
    return channels_in * channels_out * side**2 + bias * channels_out


def expected_parameters(filters, channels_in, channels_out, norm, gates):
    """Counted by hand from the published layout, level by level."""

    def double(before, width):
        if norm == "none":
            return convolution(before, width, 3, True) + convolution(width, width, 3, True)
        return convolution(before, width, 3, False) + convolution(width, width, 3, False) + 4 * width

    total = sum(double(before, width) for before, width in zip((channels_in, *filters), filters, strict=False))
    for below, width in zip(filters[1:], filters, strict=False):
        total += convolution(below, width, 2, True) + double(2 * width, width)
        total += gates * (2 * convolution(width, width, 1, True) + convolution(width, 1, 1, True))
    return total + convolution(filters[0], channels_out, 1, True)


def test_attention_unet_has_exactly_the_parameters_of_its_authors():
    assert parameters(MODELS["attention_unet"].build(1, 1)) == 1_985_061
    assert parameters(MODELS["attention_unet"].build(1, 1, gate="oktay")) == 1_985_061


@pytest.mark.parametrize("name", ["unet_small", "unet_3level", "unet_simple", "attention_unet"])
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 1), (3, 4)])
def test_parameters(name, norm, channels_in, channels_out):
    entry = MODELS[name]
    net = entry.build(channels_in, channels_out, norm=norm)
    filters = entry.check({}).filters
    gates = name == "attention_unet"
    assert parameters(net) == expected_parameters(filters, channels_in, channels_out, norm, gates)


def test_small_unet_has_about_two_million_parameters():
    assert 1.9e6 < parameters(MODELS["unet_small"].build(1, 1)) < 2.1e6
    small = MODELS["unet"].build(1, 1, filters=(16, 32, 64, 128, 256))
    assert parameters(small) == parameters(MODELS["unet_small"].build(1, 1))


@pytest.mark.parametrize("gate", [AuthorsGate, OktayGate])
def test_closed_and_open_gates(gate):
    module = gate(4)
    x, skip = torch.rand(2, 1, 4, 5, 6)
    for bias, factor in ((-200.0, 0.0), (200.0, 1.0)):
        torch.nn.init.zeros_(module.psi.weight)
        torch.nn.init.constant_(module.psi.bias, bias)
        weighted = x if gate is AuthorsGate else skip
        assert torch.equal(module(x, skip), factor * weighted)


def test_authors_gate_lets_the_skip_in_through_psi_alone():
    x, skip = torch.rand(2, 1, 3, 4, 4)
    ratio = AuthorsGate(3)(x, skip) / x
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio))
    assert not torch.allclose(ratio, AuthorsGate(3)(x, skip + 1) / x)


def test_first_weights_are_he_normal():
    torch.manual_seed(0)
    net = MODELS["unet_small"].build(1, 1)
    weight = net.down[4][4].weight.detach()
    deviation = (2 / (256 * 9)) ** 0.5
    assert weight.std().item() == pytest.approx(deviation, rel=0.01)
    assert weight.abs().max().item() <= 2 * deviation / 0.8796
    assert weight.mean().item() == pytest.approx(0, abs=deviation / 50)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu"])
def test_activations_differ(activation):
    nets = {}
    for name in (activation, "relu" if activation != "relu" else "elu"):
        torch.manual_seed(0)
        nets[name] = MODELS["unet_simple"].build(1, 1, activation=name, norm="none")(torch.ones(1, 1, 8, 8))
    first, second = nets.values()
    assert not torch.allclose(first, second)


def test_dropout_acts_in_training_only():
    net = MODELS["unet_simple"].build(1, 1, dropout=(0.0, 0.0, 0.5), norm="none")
    x = torch.rand(1, 1, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 4}, "did you mean|one of activation, dropout, filters, norm"),
        ({"filters": (16,)}, "filters"),
        ({"filters": (0, 4)}, "filters"),
        ({"filters": (10**9, 10**9)}, "filters"),
        ({"filters": "many"}, "filters"),
        ({"norm": "layer"}, "'batch', 'group' or 'none'"),
        ({"activation": "relu6"}, "activation"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": (0.1, 0.2)}, "2 rates for 5 levels"),
        ({"gate": "oktay"}, "gate"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, words):
    with pytest.raises(BadInput, match=words) as caught:
        MODELS["unet_small"].build(1, 1, **arguments)
    assert "unet_small" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("channels_in", "channels_out"), [(0, 1), (1, 0), (10**9, 1)])
def test_wrong_channels(channels_in, channels_out):
    with pytest.raises(BadInput, match="channels"):
        MODELS["unet_simple"].build(channels_in, channels_out)


def test_batch_norm_of_single_values_uses_running_statistics():
    layer = BatchNorm(3)
    layer.running_mean.fill_(2.0)
    x = torch.rand(1, 3, 1, 1)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    trained = layer(x)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert torch.equal(trained, layer.eval()(x))


def test_batch_norm_is_that_of_torch_otherwise():
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_replaced_batch_norms_keep_their_state():
    net = torch.nn.Sequential(torch.nn.Sequential(torch.nn.BatchNorm2d(2, eps=0.1, momentum=0.3)))
    net(torch.rand(2, 2, 3, 3))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    tolerate_single_values(net)
    layer = net[0][0]
    assert isinstance(layer, BatchNorm)
    assert (layer.eps, layer.momentum) == (0.1, 0.3)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
