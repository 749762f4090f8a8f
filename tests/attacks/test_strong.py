"""APGD, SEA and Square on three networks, and against their published formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anyscope.attacks import ATTACKS, Target, check_attack, class_logits
from anyscope.attacks.apgd import SEA_PARTS, checkpoints
from anyscope.attacks.losses import LOSSES, image_sums, pixel_loss
from anyscope.attacks.rounding import round_to_bits
from anyscope.attacks.square import _bump

from .conftest import discs, overlap

RADIUS = 12 / 255
SEEDS = range(6)


@pytest.fixture(scope="module")
def batch():
    return discs(6, seed=21)


def attacked(name, network, batch, **arguments):
    """Images as they would be scored: rounded to 8 bits."""
    images, target = batch
    norm = arguments.get("norm", "linf")
    epsilon = arguments.pop("epsilon", RADIUS)
    found = ATTACKS[name](epsilon, **arguments)(network, images, target, SEEDS)
    return round_to_bits(found, images, epsilon, norm)


def reached(network, images, target):
    """Mean cross-entropy of an image."""
    with torch.no_grad():
        return float(image_sums(pixel_loss(network(images), target.labels), target.valid).mean())


def each_overlap(network, images, target):
    with torch.no_grad():
        logits = network(images)
    return [overlap(logits[i : i + 1], Target(target.labels[i], target.valid[i])) for i in range(len(images))]


def test_checkpoints_by_hand():
    """p = 0, .22, .41 (+.19), .57 (+.16), .70, .80, .87, .93, .99 (+.06 from here on)."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == []
    assert checkpoints(10) == [3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_reaches_at_least_the_loss_of_pgd_in_as_many_steps(any_net, batch, norm):
    """What both climb is cross-entropy; what is compared is how high they come."""
    network = class_logits(any_net)
    images, target = batch
    epsilon = RADIUS if norm == "linf" else 1.5
    losses = {}
    for name in ("pgd", "apgd"):
        found = ATTACKS[name](epsilon, norm, steps=20, keep="last")(network, images, target, SEEDS)
        losses[name] = reached(network, found, target)
    clean = reached(network, images, target)
    assert losses["apgd"] >= losses["pgd"] > 1.5 * clean


def test_apgd_is_at_least_as_strong_as_pgd_by_the_pooled_score(any_net, batch):
    network, target = class_logits(any_net), batch[1]
    scores = {n: overlap(network(attacked(n, network, batch, steps=20)), target) for n in ("pgd", "apgd")}
    assert scores["apgd"] <= scores["pgd"] + 0.02


def test_the_ensemble_is_never_weaker_than_its_parts(any_net, batch):
    network, (images, target) = class_logits(any_net), batch
    whole = ATTACKS["sea"](RADIUS, steps=8)(network, images, target, SEEDS)
    worst = np.array(each_overlap(network, whole, target))
    parts = []
    for part in SEA_PARTS:
        found = part(RADIUS, steps=8)(network, images, target, SEEDS)
        parts.append(each_overlap(network, found, target))
    np.testing.assert_array_equal(worst, np.min(parts, axis=0))


def test_square_needs_no_gradient_and_beats_noise(any_net, batch):
    network, (images, target) = class_logits(any_net), batch

    @torch.no_grad()
    def answers(pixels):
        assert not torch.is_grad_enabled()
        assert not pixels.requires_grad
        return network(pixels)

    with torch.no_grad():
        clean = overlap(network(images), target)
        noise = overlap(network(attacked("random_noise", network, batch)), target)
        found = overlap(network(attacked("square", answers, batch)), target)
        own = attacked("square", network, batch, steps=2)
    assert found < noise - 0.02 < clean
    torch.testing.assert_close(own, attacked("square", answers, batch, steps=2))


def test_square_gets_no_weaker_by_more_queries(any_net, batch):
    """Measured by what it climbs: the probability of the wrong classes."""
    network, (images, target) = class_logits(any_net), batch

    def wrong(steps):
        found = ATTACKS["square"](RADIUS, steps=steps, keep="last")(network, images, target, SEEDS)
        with torch.no_grad():
            p = network(found).softmax(dim=1).gather(1, target.labels[:, None])
        return float((1 - p).mean())

    assert wrong(1) < wrong(8) < wrong(30)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["apgd", "sea", "square"])
def test_the_ball_holds_after_rounding(any_net, batch, name, norm):
    """A radius of whole levels is kept exactly; a length grows by half a level per pixel at most."""
    epsilon = 12 / 255 if norm == "linf" else 1.0
    found = attacked(name, class_logits(any_net), batch, norm=norm, epsilon=epsilon, steps=5)
    change = found - batch[0]
    assert 0 <= found.min() <= found.max() <= 1
    torch.testing.assert_close(found * 255, (found * 255).round())
    if norm == "linf":
        assert float(change.abs().max()) <= epsilon + 1e-6
    else:
        assert (change.flatten(1).norm(dim=1) <= epsilon + 0.5 / 255 * change[0].numel() ** 0.5).all()


def test_losses_by_their_definitions():
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((2, 3, 4, 5), generator=random, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 4, 5), generator=random)
    valid = torch.rand((2, 4, 5), generator=random) > 0.2
    plain = F.cross_entropy(logits, labels, reduction="none")
    right = logits.argmax(dim=1) == labels
    torch.testing.assert_close(LOSSES["ce"](logits, labels, valid), plain)
    torch.testing.assert_close(LOSSES["masked"](logits, labels, valid), plain * right)
    p, onehot = logits.softmax(dim=1), F.one_hot(labels, 3).movedim(-1, 1).double()
    middle = (p + onehot) / 2
    divergence = (torch.xlogy(p, p / middle) + torch.xlogy(onehot, onehot / middle)).sum(dim=1) / 2
    torch.testing.assert_close(LOSSES["js"](logits, labels, valid), divergence)
    balanced = LOSSES["balanced"](torch.zeros_like(logits), labels, valid)  # every pixel of class 0 is right by ln 3
    for image in range(2):
        counted = labels[image][valid[image]]
        present = len(counted.unique())
        expected = math.log(3) * len(counted) / (present * int((counted == 0).sum()))
        inside = (labels[image] == 0) & valid[image]
        torch.testing.assert_close(balanced[image][inside], torch.full_like(balanced[image][inside], expected))
        assert (balanced[image][labels[image] != 0] == 0).all()


@pytest.mark.parametrize("loss", list(LOSSES))
def test_sure_pixels_keep_their_gradient(loss):
    z = torch.full((1, 1, 1, 1), 50.0, requires_grad=True)
    labels = torch.ones((1, 1, 1), dtype=torch.int64)
    value = LOSSES[loss](torch.cat([torch.zeros_like(z), z], dim=1), labels, labels.bool()).sum()
    (gradient,) = torch.autograd.grad(value, z)
    assert float(gradient) < 0


class _OnePixel(torch.nn.Module):
    """A classifier as a segmentation of one pixel: the class scores of the whole image."""

    def __init__(self):
        super().__init__()
        random = torch.Generator().manual_seed(3)
        self.first = torch.nn.Parameter(torch.randn((64, 16), generator=random) / 4)
        self.second = torch.nn.Parameter(torch.randn((16, 3), generator=random))

    def forward(self, images):
        return torch.tanh((images.flatten(1) - 0.5) @ self.first) @ self.second


@pytest.mark.parametrize(("norm", "theirs", "epsilon"), [("linf", "Linf", 0.05), ("l2", "L2", 0.4)])
def test_apgd_does_as_well_as_another_implementation(norm, theirs, epsilon):
    """On a classifier, where a sum over pixels is the loss of the image, and from another random start."""
    torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is not installed")
    model = _OnePixel().eval()
    images = torch.rand((32, 1, 8, 8), generator=torch.Generator().manual_seed(5))
    labels = model(images).argmax(dim=1)

    def pixels(batch):
        return model(batch)[:, :, None, None].expand(-1, -1, *batch.shape[-2:])

    target = Target(labels[:, None, None].expand(-1, 8, 8), torch.ones((32, 8, 8), dtype=torch.bool))
    ours = ATTACKS["apgd"](epsilon, norm, steps=30, keep="last")(pixels, images, target, range(32))
    with torch.random.fork_rng(devices=[]):
        other = torchattacks.APGD(model, norm=theirs, eps=epsilon, steps=30, n_restarts=1, loss="ce", seed=0)
        other.set_mode_default()
        found = other(images, labels)
    losses = [F.cross_entropy(model(batch), labels, reduction="none").detach() for batch in (ours, found)]
    broken = [float((model(batch).argmax(dim=1) != labels).float().mean()) for batch in (ours, found)]
    assert broken[0] >= broken[1]
    # torchattacks stops at an image once it is wrong, and either may end on a lower hill
    assert float((losses[0] > losses[1] - 2e-3).float().mean()) > 0.95


def test_the_bump_of_square_falls_off_in_rings():
    """5 x 5: middle 1 + 1/4 + 1/9, then 1/4 + 1/9, then 1/9, brought to length 1."""
    bump = _bump(5, torch.zeros(1, dtype=torch.float64))
    rings = np.array([1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9])
    length = math.sqrt(rings[0] ** 2 + 8 * rings[1] ** 2 + 16 * rings[2] ** 2)
    np.testing.assert_allclose(bump[2, 2:].numpy(), rings / length)
    assert float(bump.norm()) == pytest.approx(1)


class _Masked(torch.nn.Module):
    """A network that answers as another one, but in steps: its gradient is 0 everywhere."""

    def __init__(self, network):
        super().__init__()
        self.spec, self.network = network.spec, network

    def forward(self, images):
        logits = self.network(images)
        steps = (4 * logits).round() / 4
        return steps + 0 * logits


class _Detached(_Masked):
    """The same with a branch that carries all of the answer and none of the gradient."""

    def forward(self, images):
        return self.network(images.detach()) + 1e-6 * torch.sin(1000 * images)


def scores_of(network, batch):
    target = batch[1]
    with torch.no_grad():
        clean = overlap(network(batch[0]), target)
    found = {name: attacked(name, network, batch) for name in ("apgd", "square", "random_noise")}
    with torch.no_grad():
        return clean, {name: overlap(network(images), target) for name, images in found.items()}


def warnings_of(network, batch, transferred=None):
    clean, scores = scores_of(network, batch)
    table = {name: {RADIUS: value} for name, value in scores.items()}
    transfer = None if transferred is None else {RADIUS: overlap(network(transferred), batch[1])}
    return check_attack(
        table["apgd"], clean, table["random_noise"],
        transfer_by_epsilon=transfer, black_box_by_epsilon=table["square"],
    )  # fmt: skip


def test_an_honest_network_is_not_accused(any_net, batch, net):
    network = class_logits(any_net)
    assert warnings_of(network, batch, attacked("apgd", class_logits(net), batch)) == ()


@pytest.mark.parametrize("kind", [_Masked, _Detached])
def test_masked_gradients_are_named(any_net, batch, kind):
    network = class_logits(kind(any_net).eval())
    warnings = warnings_of(network, batch, attacked("apgd", class_logits(any_net), batch))
    assert any("without gradients" in warning for warning in warnings)
    assert any("another network" in warning for warning in warnings)
