"""Attacks on networks whose best attack is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq

from anyscope.attacks import ATTACKS, Target, class_logits
from anyscope.attacks.ball import random_point
from anyscope.attacks.losses import pixel_loss

from .conftest import discs

ITERATIVE = ["ifgsm", "pgd", "segpgd", "cospgd"]


def everywhere(labels: torch.Tensor) -> Target:
    return Target(labels, torch.ones_like(labels, dtype=torch.bool))


def two_classes(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(z), z], dim=1)


def test_the_loss_is_cross_entropy():
    random = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn((2, 4, 6, 5), generator=random, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 4, (2, 6, 5), generator=random)
    ours, theirs = pixel_loss(logits, labels), F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("margin", [20.0, 50.0, 80.0])
def test_sure_pixels_keep_their_gradient(margin):
    """d loss / d z = -1 / (1 + e^z), which cross-entropy in single precision gives as 0."""
    z = torch.full((1, 1, 1, 1), margin, requires_grad=True)
    labels = torch.ones((1, 1, 1), dtype=torch.int64)
    (gradient,) = torch.autograd.grad(pixel_loss(two_classes(z), labels).sum(), z)
    assert float(gradient) == pytest.approx(-1 / (1 + math.exp(margin)), rel=1e-4)
    (lost,) = torch.autograd.grad(F.cross_entropy(two_classes(z), labels), z)
    assert float(lost) == 0


def test_a_sure_network_is_attacked_all_the_same():
    """A logit of 60 and a sigmoid of exactly 1: the image gets darker nevertheless."""
    images = torch.full((1, 1, 2, 2), 0.8)
    labels = torch.ones((1, 2, 2), dtype=torch.int64)
    changed = ATTACKS["fgsm"](0.1)(lambda x: two_classes(200 * (x - 0.5)), images, everywhere(labels), [0])
    torch.testing.assert_close(changed, images - 0.1)


def test_fgsm_by_hand():
    """z = 3 x - 1 with one weight for every pixel: foreground gets darker, background brighter, within 0..1."""
    images = torch.tensor([[[[0.2, 0.5], [0.95, 0.05]]]])
    labels = torch.tensor([[[1, 0], [0, 1]]])
    changed = ATTACKS["fgsm"](0.1)(lambda x: two_classes(3 * x - 1), images, everywhere(labels), [0])
    torch.testing.assert_close(changed, torch.tensor([[[[0.1, 0.6], [1.0, 0.0]]]]))


def test_fgsm_by_hand_with_the_other_norm():
    """One pixel, z = 3 a - 4 b, foreground: the gradient of the loss is along (-3, 4) / 5."""
    images = torch.tensor([[[[0.5]], [[0.5]]]])
    changed = ATTACKS["fgsm"](0.1, "l2")(
        lambda x: two_classes(3 * x[:, :1] - 4 * x[:, 1:]), images, everywhere(torch.ones((1, 1, 1)).long()), [0]
    )
    torch.testing.assert_close(changed.flatten(), torch.tensor([0.5 - 0.06, 0.5 + 0.08]))


KERNEL = torch.tensor([[1.0, -2.0, 0.5], [3.0, 4.0, -1.0], [0.0, 2.0, -0.5]], dtype=torch.float64)[None, None]


def one_pixel(middle: float) -> tuple[torch.Tensor, Target]:
    """An image of 9 x 9 of which only the middle pixel counts, which is foreground."""
    random = torch.Generator().manual_seed(3)
    images = (middle + 0.1 * torch.randn((1, 1, 9, 9), generator=random, dtype=torch.float64)).clamp(0, 1)
    valid = torch.zeros((1, 9, 9), dtype=torch.bool)
    valid[0, 4, 4] = True
    return images, Target(torch.ones((1, 9, 9), dtype=torch.int64), valid)


def linear(images: torch.Tensor) -> torch.Tensor:
    return two_classes(F.conv2d(images, KERNEL, padding=1))


@pytest.mark.parametrize("middle", [0.5, 0.95])
@pytest.mark.parametrize("name", ITERATIVE)
def test_the_corner_of_a_linear_network_is_reached(name, middle):
    """The lowest z in the cube is at the corner against the signs of the kernel, cut to 0..1."""
    images, target = one_pixel(middle)
    start = images[0, 0, 3:6, 3:6]
    corner = (start - 0.1 * KERNEL[0, 0].sign()).clamp(0, 1)
    attack = ATTACKS[name](0.1, steps=40, step_size=0.01, keep="last")
    changed = attack(linear, images, target, [1])[0, 0, 3:6, 3:6]
    used = KERNEL[0, 0] != 0
    # SegPGD goes on from wrong pixels with lambda > 0, so all of them arrive.
    torch.testing.assert_close(changed[used], corner[used], rtol=0, atol=1e-9)


@pytest.mark.parametrize("middle", [0.5, 0.95])
@pytest.mark.parametrize("name", ITERATIVE)
def test_the_best_point_of_the_ball_of_a_linear_network_is_reached(name, middle):
    """The lowest z in ball and cube is at clamp(x - t k) with the t at which the change is as long as epsilon."""
    images, target = one_pixel(middle)
    start, kernel = images[0, 0, 3:6, 3:6].numpy(), KERNEL[0, 0].numpy()

    def change(t: float) -> np.ndarray:
        return np.clip(start - t * kernel, 0, 1) - start

    t = brentq(lambda t: np.linalg.norm(change(t)) - 0.5, 0, 10)
    lowest = float((kernel * (start + change(t))).sum())
    attack = ATTACKS[name](0.5, "l2", steps=100, step_size=0.1, keep="last")
    z = float(linear(attack(linear, images, target, [1]))[0, 1, 4, 4])
    assert z == pytest.approx(lowest, abs=2e-3 * abs(float((kernel * start).sum()) - lowest))


def class_gradient(x: np.ndarray, labels: np.ndarray, slopes: np.ndarray, offsets: np.ndarray, name: str) -> np.ndarray:
    """Gradient of the first loss of an attack for logits a_k x + b_k at every pixel, by pixel and by hand."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        z = slopes * x[place] + offsets
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        onehot = np.eye(len(slopes))[labels[place]]
        weight = 1.0
        if name == "segpgd":
            weight = 1.0 if z.argmax() == labels[place] else 0.0  # lambda is 0 at the first step
        if name == "cospgd":
            weight = float(p @ onehot) / float(np.linalg.norm(p))
        gradient[place] = weight * float(slopes @ (p - onehot))
    return gradient


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["pgd", "segpgd", "cospgd"])
def test_the_first_gradient_pixel_by_pixel(name, classes):
    random = torch.Generator().manual_seed(classes)
    images = 0.3 + 0.4 * torch.rand((1, 1, 6, 5), generator=random, dtype=torch.float64)
    labels = torch.randint(0, classes, (1, 6, 5), generator=random)
    slopes, offsets = np.array([0.0, 4.0, -3.0])[:classes], np.array([0.0, -2.0, 1.5])[:classes]
    a, b = (torch.from_numpy(values).view(1, -1, 1, 1) for values in (slopes, offsets))
    start = random_point(images, 0.1, "l2", [7], name)
    attack = ATTACKS[name](0.1, "l2", steps=1, step_size=1e-3, keep="last")
    # The centre is far enough from the rim in a wider ball; the start is drawn from the narrower one.
    moved = start + 1e-3 * torch.from_numpy(
        _unit(class_gradient(start[0, 0].numpy(), labels[0].numpy(), slopes, offsets, name))
    )
    inside = float((moved - images).norm()) <= 0.1
    changed = attack(lambda x: a * x + b, images, everywhere(labels), [7])
    expected = moved if inside else images + (moved - images) * 0.1 / float((moved - images).norm())
    torch.testing.assert_close(changed, expected, rtol=0, atol=1e-9)


def _unit(gradient: np.ndarray) -> np.ndarray:
    return (gradient / np.linalg.norm(gradient))[None, None]


def test_segpgd_shifts_its_weight_from_right_to_wrong_pixels():
    logits = two_classes(torch.tensor([[[[2.0, -2.0]]]]))
    labels = torch.ones((1, 1, 2), dtype=torch.int64)
    attack = ATTACKS["segpgd"](0.1)
    for progress, right, wrong in ((0.0, 1.0, 0.0), (0.5, 0.75, 0.25), (0.9, 0.55, 0.45)):
        weights = attack.weights(logits, labels, progress)
        torch.testing.assert_close(weights, torch.tensor([[[right, wrong]]]))


def test_cospgd_by_hand():
    """Softmax (3/4, 1/4): 1 / sqrt(10) for class 1. Sigmoid of [0, -ln 3] is (1/2, 1/4): 1 / sqrt(5)."""
    logits = two_classes(torch.full((1, 1, 1, 1), -math.log(3)))
    labels = torch.ones((1, 1, 1), dtype=torch.int64)
    soft = ATTACKS["cospgd"](0.1).weights(logits, labels, 0.0)
    each = ATTACKS["cospgd"](0.1, squashing="sigmoid").weights(logits, labels, 0.0)
    assert float(soft) == pytest.approx(1 / math.sqrt(10))
    assert float(each) == pytest.approx(1 / math.sqrt(5))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["fgsm", *ITERATIVE])
def test_one_logit_is_attacked_like_two(name, norm, net):
    """[0, z] and [c - z / 2, c + z / 2] are the same network."""
    network = net.double()
    try:
        images, target = discs(2, seed=12)
        images = images.double()

        def written_out(batch):
            z = network(batch)[:, 1:]
            return torch.cat([batch - z / 2, batch + z / 2], dim=1)

        attack = ATTACKS[name](0.05 if norm == "linf" else 1.0, norm)
        one, two = (attack(each, images, target, [1, 2]) for each in (class_logits(network), written_out))
        torch.testing.assert_close(one, two, rtol=0, atol=1e-7)
    finally:
        net.float()


def test_the_steps_of_each_rule():
    """In grey levels: PGD can cross the ball, I-FGSM too at any radius, the others take a third of it."""
    level = 1 / 255
    assert [ATTACKS["ifgsm"](e * level).resolved_steps for e in (1, 2, 4, 8, 16, 32)] == [10, 10, 10, 16, 32, 64]
    assert ATTACKS["ifgsm"](8 * level).resolved_step_size == level
    assert ATTACKS["ifgsm"](0.5, "l2").resolved_steps == 20
    assert ATTACKS["ifgsm"](32 * level, steps=5).resolved_steps == 5
    pgd = ATTACKS["pgd"](8 * level, steps=40)
    assert pgd.resolved_steps * pgd.resolved_step_size == pytest.approx(20 * level)
    assert ATTACKS["pgd"](8 * level, step_size=level).resolved_step_size == level
    for name in ("segpgd", "cospgd"):
        assert ATTACKS[name](0.03).resolved_step_size == pytest.approx(0.01)
        assert ATTACKS[name](0.03).resolved_steps == 10
