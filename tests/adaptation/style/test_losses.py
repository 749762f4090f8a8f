"""Losses of translation on batches made by hand."""

from __future__ import annotations

import doctest
import math

import pytest
import torch

from anyscope.adaptation.style import schedule
from anyscope.adaptation.style.buffer import ImageBuffer
from anyscope.adaptation.style.losses import cycle_loss, looks_real, multilayer_nce, patch_nce, tells_apart
from anyscope.adaptation.style.schedule import GanCourse, make_adam


def unit(*shape, seed=0):
    vectors = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_patch_nce_is_a_cross_entropy():
    q, k = unit(2, 5, 8), unit(2, 5, 8, seed=1)
    expected = 0.0
    for image in range(2):
        for place in range(5):
            terms = [math.exp(float(q[image, place] @ k[image, other]) / 0.07) for other in range(5)]
            expected -= math.log(terms[place] / sum(terms)) / 10
    assert float(patch_nce(q, k)) == pytest.approx(expected, rel=1e-5)


def test_patch_nce_of_equal_and_of_exchanged_features():
    k = torch.eye(4)[None]
    equal = math.log(1 + 3 * math.exp(-1 / 0.07))
    assert float(patch_nce(k, k)) == pytest.approx(equal, abs=1e-6)
    assert float(patch_nce(k.roll(1, dims=1), k)) == pytest.approx(1 / 0.07 + equal, rel=1e-5)
    same = torch.ones(1, 4, 1)
    assert float(patch_nce(same, same)) == pytest.approx(math.log(4))


def test_patch_nce_never_compares_images():
    q, k = unit(2, 5, 8), unit(2, 5, 8, seed=1)
    assert torch.isclose(patch_nce(q, k), (patch_nce(q[:1], k[:1]) + patch_nce(q[1:], k[1:])) / 2)


def test_no_gradient_reaches_the_keys():
    q, k = unit(1, 5, 8).requires_grad_(), unit(1, 5, 8, seed=1).requires_grad_()
    multilayer_nce([q, q], [k, k]).backward()
    assert k.grad is None
    assert q.grad.abs().sum() > 0


def test_layers_count_alike():
    q, k = unit(1, 5, 8), unit(1, 3, 4, seed=1)
    assert torch.isclose(multilayer_nce([q, k], [q, k]), (patch_nce(q, q) + patch_nce(k, k)) / 2)


def test_least_squares_by_hand():
    numbers = torch.tensor([0.0, 1.0, 3.0])
    assert float(looks_real(numbers)) == pytest.approx((1 + 0 + 4) / 3)
    assert float(tells_apart(torch.tensor([1.0]), torch.tensor([0.0]))) == 0
    assert float(tells_apart(torch.tensor([0.5]), torch.tensor([0.5]))) == pytest.approx(0.25)
    assert float(tells_apart(torch.tensor([0.0]), torch.tensor([2.0]))) == pytest.approx(2.5)


def test_cycles_by_hand():
    assert float(cycle_loss(torch.tensor([0.0, 1.0]), torch.tensor([0.5, -1.0]))) == pytest.approx(1.25)


class Resting(GanCourse):
    """One that learns nothing."""

    def step(self, number):
        return {}


def test_decay_is_that_of_a_lambda_schedule():
    assert doctest.testmod(schedule).failed == 0
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = make_adam([parameter], 2e-4)
    policy = torch.optim.lr_scheduler.LambdaLR(theirs, lambda epoch: 1.0 - max(0, epoch + 1 - 200) / 201)
    ours = make_adam([parameter], 2e-4)
    course = Resting({}, {"generator": ours}, 2e-4, 200, 200)
    for epoch in range(400):
        course.begin_epoch(epoch)
        assert course.end_epoch(epoch, {}) == {"learning_rate": ours.param_groups[0]["lr"]}
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        policy.step()
    assert ours.param_groups[0]["lr"] == pytest.approx(2e-4 / 201)
    assert ours.param_groups[0]["betas"] == (0.5, 0.999)


def test_a_buffer_fills_then_exchanges():
    random = torch.Generator().manual_seed(0)
    buffer = ImageBuffer(2)
    image = [torch.full((1, 1, 1, 1), float(i)) for i in range(40)]
    assert [float(buffer.exchange(image[i], random)) for i in range(2)] == [0, 1]
    shown = [float(buffer.exchange(image[i], random)) for i in range(2, 40)]
    older = [value for number, value in enumerate(shown, 2) if value != number]
    assert 0.2 < len(older) / len(shown) < 0.8
    assert len(set(older)) == len(older), "an image that was shown again left the buffer"
    assert all(value < number for number, value in enumerate(shown, 2) if value != number)


def test_a_buffer_without_room_and_its_state():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 2, 2)
    assert torch.equal(ImageBuffer(0).exchange(images, random), images)
    buffer, other = ImageBuffer(3), ImageBuffer(3)
    buffer.exchange(images, random)
    other.load_state_dict(buffer.state_dict())
    first, second = (each.exchange(images * 2, torch.Generator().manual_seed(5)) for each in (buffer, other))
    assert torch.equal(first, second)
