"""Pretexts: what they hide, what they compare, against other libraries and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import resize
from skimage.util import view_as_blocks
from torch import nn

from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.pretext import PRETEXTS, Crappify, Masked, crappify, make_pretext, pretext_network


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_noise_it_is_a_mean_of_four_and_bilinear_back():
    """Half the size of an even image by bilinear interpolation is the mean of 2 x 2; scikit-image brings it back."""
    image = np.random.default_rng(0).random((12, 16)).astype(np.float32)
    coarse = image.reshape(6, 2, 8, 2).mean(axis=(1, 3))
    expected = resize(coarse, (12, 16), order=1, mode="edge")
    found = crappify(torch.from_numpy(image)[None, None], 0.0, draws())
    assert np.allclose(found[0, 0].numpy(), expected, atol=1e-5)


def test_noise_has_the_strength_of_a_share_of_the_largest_value():
    flat = torch.full((1, 1, 400, 400), 0.4)
    flat[..., 0, 0] = 0.8  # the largest value, at which the noise is cut
    found = crappify(flat, 0.1, draws())[..., 2:-2, 2:-2]
    # a mean of four has half the deviation, and bilinear interpolation by two leaves (9 + 1 + 2 * 3) / 16 = 10 / 16
    # of the deviation along each axis: weights 3/4 and 1/4
    assert found.std().item() == pytest.approx(0.08 / 2 * (0.75**2 + 0.25**2), rel=0.03)
    assert found.mean().item() == pytest.approx(0.4, abs=0.002)


@given(height=st.integers(2, 17), width=st.integers(2, 17), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_values_stay_between_zero_and_the_largest(height, width, share, seed):
    images = torch.rand(2, 1, height, width, generator=draws(seed)) * 0.7
    found = crappify(images, share, draws(seed), varied=bool(seed % 2))
    assert found.shape == images.shape
    assert float(found.min()) >= 0
    for before, after in zip(images, found, strict=True):
        assert float(after.max()) <= float(before.max()) + 1e-6


def test_varied_strength_is_between_none_and_the_share():
    flat = torch.full((64, 1, 32, 32), 0.5)
    flat[..., 0, 0] = 1.0
    deviations = crappify(flat, 0.2, draws(), varied=True)[..., 4:, 4:].std(dim=(1, 2, 3))
    whole = crappify(flat, 0.2, draws())[..., 4:, 4:].std(dim=(1, 2, 3))
    assert float(deviations.min()) < 0.25 * float(whole.mean())
    assert float(deviations.max()) < 1.3 * float(whole.max())
    assert float(deviations.max()) > 0.7 * float(whole.mean())


def test_the_pretext_network_begins_as_the_segmenter_and_repairs_all_channels():
    spec = SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic", classes=4, neighbours=1)
    segmenter = build_segmenter(spec, 3)
    before = state(segmenter)
    net = pretext_network(segmenter, "masked", 0).eval()
    assert net(torch.rand(1, 3, 20, 20)).shape == (1, 3, 20, 20)
    assert {key for key, value in net.state_dict().items() if value.shape != before[key].shape} == {
        "net.head.weight",
        "net.head.bias",
    }
    now = net.state_dict()
    same = [key for key, value in before.items() if now[key].shape == value.shape and torch.equal(now[key], value)]
    assert len(same) == len(before) - 2
    assert not changed(before, segmenter)
    assert net.spec.pretext == "masked"


def patches(number=3, channels=2, height=48, width=64, seed=1):
    return torch.rand(number, channels, height, width, generator=draws(seed))


@pytest.mark.parametrize("name", list(PRETEXTS))
def test_every_pretext_is_seeded_stateless_and_keeps_the_range(name):
    pretext, images = make_pretext(name), patches()
    before = images.clone()
    first, again, other = (pretext.spoil(images, draws(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(images, before)
    assert first.images.shape == images.shape
    assert 0 <= float(first.images.min()) <= float(first.images.max()) <= 1
    assert pretext.summary
    assert pretext.source


@pytest.mark.parametrize("name", list(PRETEXTS))
def test_every_pretext_prefers_the_image_and_has_a_gradient(name):
    pretext, images = make_pretext(name), patches() * 0.8 + 0.1
    spoiled = pretext.spoil(images, draws())
    perfect = torch.logit(images)
    assert float(pretext.loss(perfect, images, spoiled)) < 1e-6
    assert torch.allclose(pretext.repaired(perfect, images, spoiled), images, atol=1e-5)
    outputs = torch.zeros_like(images).requires_grad_()
    loss = pretext.loss(outputs, images, spoiled)
    assert float(loss.detach()) > 0.01
    loss.backward()
    assert float(outputs.grad.abs().sum()) > 0


@given(
    height=st.integers(9, 40),
    width=st.integers(9, 40),
    piece=st.integers(1, 8),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_whole_pieces_are_hidden_in_the_share_that_was_asked_for(height, width, piece, share, seed):
    images = torch.rand(2, 1, height, width, generator=draws(seed))
    hidden = Masked(share=share, piece_px=piece).spoil(images, draws(seed)).hidden
    assert hidden.shape == (2, 1, height, width)
    rows, columns = -(-height // piece), -(-width // piece)
    wanted = min(rows * columns - 1, max(1, round(share * rows * columns)))
    for one in hidden[:, 0]:
        found = 0
        for row in range(rows):
            for column in range(columns):
                cell = one[row * piece : (row + 1) * piece, column * piece : (column + 1) * piece]
                assert cell.all() or not cell.any()
                found += bool(cell.any())
        assert found == wanted


def test_hidden_pixels_take_the_mean_of_what_is_shown():
    images = patches()
    spoiled = Masked().spoil(images, draws())
    for image, shown, hidden in zip(images.numpy(), spoiled.images.numpy(), spoiled.hidden.numpy(), strict=True):
        for channel, values in zip(image, shown, strict=True):
            assert np.array_equal(channel[~hidden[0]], values[~hidden[0]])
            assert np.allclose(values[hidden[0]], channel[~hidden[0]].mean(), atol=1e-6)


def test_nothing_of_what_is_hidden_is_shown():
    images = patches()
    first = Masked().spoil(images, draws())
    other = torch.where(first.hidden, 1 - images, images)
    assert torch.equal(Masked().spoil(other, draws()).images, first.images)


@pytest.mark.parametrize("distance", ["l1", "mse"])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_loss_is_the_mean_over_hidden_pixels(distance, normalised):
    pretext = Masked(piece_px=16, distance=distance, normalised=normalised)
    images, outputs = patches(), torch.randn(3, 2, 48, 64, generator=draws(5))
    spoiled = pretext.spoil(images, draws())
    hidden = spoiled.hidden.expand_as(images).numpy()
    if normalised:  # MAE: pieces with mean 0 and deviation 1, by NumPy
        wanted = np.empty(images.shape, np.float32)
        for image, out in zip(images.flatten(0, 1).numpy(), wanted.reshape(-1, 48, 64), strict=True):
            pieces, there = view_as_blocks(image, (16, 16)), view_as_blocks(out, (16, 16))
            mean, variance = pieces.mean((2, 3), keepdims=True), pieces.var((2, 3), ddof=1, keepdims=True)
            there[...] = (pieces - mean) / np.sqrt(variance + 1e-6)
        found = outputs.numpy()
    else:
        wanted, found = images.numpy(), 1 / (1 + np.exp(-outputs.numpy()))
    difference = np.abs(found - wanted)[hidden] ** (1 if distance == "l1" else 2)
    assert float(pretext.loss(outputs, images, spoiled)) == pytest.approx(difference.mean(), rel=1e-5)
    elsewhere = torch.where(spoiled.hidden, outputs, outputs + 9)
    assert torch.equal(pretext.loss(elsewhere, images, spoiled), pretext.loss(outputs, images, spoiled))


def test_normalised_pieces_that_are_cut_at_the_rim_count_their_own_pixels():
    images = patches(1, 1, 20, 16)
    mean, deviation = Masked(piece_px=16)._statistics(images)
    rim = images[0, 0, 16:].numpy()
    assert np.allclose(mean[0, 0, 16:], rim.mean(), atol=1e-6)
    assert np.allclose(deviation[0, 0, 16:], np.sqrt(rim.var(ddof=1) + 1e-6), atol=1e-6)


def test_repaired_pieces_stand_amid_what_was_shown():
    images, pretext = patches(), Masked(normalised=True)
    spoiled = pretext.spoil(images, draws())
    repaired = pretext.repaired(torch.zeros_like(images), images, spoiled)
    hidden = spoiled.hidden.expand_as(images)
    assert torch.equal(repaired[~hidden], images[~hidden])
    first = repaired[0, 0][:16, :16]
    if bool(spoiled.hidden[0, 0, 0, 0]):
        assert torch.allclose(first, images[0, 0, :16, :16].mean(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("maskd", {}, "pretext 'maskd'.*did you mean 'masked'"),
        ("masked", {"shar": 0.5}, "parameter of pretext 'masked' 'shar'.*did you mean 'share'"),
        ("masked", {"share": 1.0}, "'share' of pretext 'masked'.*below 1"),
        ("masked", {"piece_px": 0}, "'piece_px' of pretext 'masked'.*1 or more"),
        ("masked", {"distance": "l3"}, "parameter 'distance' of pretext 'masked'"),
        ("crappify", {"noise": 2}, "'noise' of pretext 'crappify'"),
        ("crappify", {"noise": "much"}, "parameter 'noise' of pretext 'crappify'"),
    ],
)
def test_wrong_parameters_are_one_line(name, given, message):
    with pytest.raises(BadInput, match=message):
        make_pretext(name, given)


def test_an_image_of_one_piece_is_refused():
    with pytest.raises(BadInput, match="more than one piece"):
        Masked().spoil(torch.rand(1, 1, 16, 16), draws())
    with pytest.raises(BadInput, match="at least 32"):
        Masked().check(31)


def test_parameters_are_those_given():
    assert make_pretext("masked", {"share": 0.75, "normalised": True}) == Masked(share=0.75, normalised=True)
    assert make_pretext("crappify") == Crappify(0.3, True)
