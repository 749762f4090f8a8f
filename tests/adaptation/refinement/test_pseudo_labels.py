"""Labels of a teacher and the distance from them, against torch and cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Categorical

from anyscope.adaptation.refinement.pseudo_labels import Labeller, Pseudo, divergence, entropy, one_hot
from anyscope.adaptation.refinement.views import turned
from anyscope.contracts import HeadLayout
from anyscope.inference.activation import activate
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.losses import LOSSES

MASK = SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic")
CLASSES = MASK.model_copy(update={"classes": 3})
ALL_HEADS = SegmenterSpec(
    model="unet_simple", arguments={"filters": [4, 8]}, task="instances", heads=("mask", "boundary", "distance")
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def row(*values):
    return torch.tensor(values).view(1, 1, 1, 1, -1)


def test_confidence_counts_both_sides():
    pseudo = Labeller(0.9, 1).judge(row(0.02, 0.2, 0.6, 0.95), MASK)
    assert pseudo.maps.flatten().tolist() == pytest.approx([0.02, 0.2, 0.6, 0.95])
    assert pseudo.weights.flatten().tolist() == [1, 0, 0, 1]
    hard = Labeller(0.9, 1, hard=True).judge(row(0.02, 0.2, 0.6, 0.95), MASK)
    assert hard.maps.flatten().tolist() == [0, 0, 1, 1]
    assert Labeller(0.0, 1).judge(row(0.02, 0.5, 0.6), MASK).weights.flatten().tolist() == [1, 1, 1]


def test_consensus_is_the_share_of_sure_orientations():
    samples = torch.cat([row(0.95, 0.95, 0.1), row(0.92, 0.6, 0.1), row(0.99, 0.1, 0.05), row(0.3, 0.95, 0.3)])
    pseudo = Labeller(0.9, 4).judge(samples, MASK)
    assert pseudo.maps.flatten().tolist() == pytest.approx([0.79, 0.65, 0.1375])
    assert pseudo.weights.flatten().tolist() == pytest.approx([3 / 4, 2 / 4, 3 / 4])


def test_a_rare_class_keeps_its_surest_pixels():
    samples = row(0.01, 0.02, 0.03, 0.04, 0.6, 0.7, 0.55, 0.65)
    assert Labeller(0.9, 1).judge(samples, MASK).weights.flatten().tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    half = Labeller(0.9, 1, share=0.5).judge(samples, MASK).weights
    assert half.flatten().tolist() == [1, 1, 1, 1, 0, 1, 0, 1]
    assert Labeller(0.9, 1, share=1.0).judge(samples, MASK).weights.min() == 1


def test_several_classes():
    maps = torch.tensor([[0.97, 0.4, 0.1], [0.02, 0.35, 0.3], [0.01, 0.25, 0.6]]).view(1, 1, 3, 1, 3)
    pseudo = Labeller(0.95, 1, share=0.5, hard=True).judge(maps, CLASSES)
    assert pseudo.weights.flatten().tolist() == [1, 0, 1]
    assert pseudo.maps[0, :, 0].T.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_every_head_has_its_weights_and_the_distance_those_of_the_mask():
    samples = torch.tensor([0.95, 0.6, -0.3]).view(1, 1, 3, 1, 1)
    pseudo = Labeller(0.9, 1, hard=True).judge(samples, ALL_HEADS)
    assert pseudo.weights.flatten().tolist() == [1, 0, 1]
    assert pseudo.maps.flatten().tolist() == pytest.approx([1, 1, -0.3])


def test_orientations_are_turned_back_before_they_are_averaged():
    segmenter = build_segmenter(ALL_HEADS, 0).eval()
    image = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    labeller = Labeller(0.5, 8)
    straight, rotated = labeller(segmenter, image).maps, labeller(segmenter, turned(image, 5)).maps
    assert torch.allclose(turned(straight, 5), rotated, atol=1e-5)
    with torch.no_grad():
        single = activate(segmenter(image), ALL_HEADS.layout)
    assert torch.allclose(Labeller(0.5, 1)(segmenter, image).maps, single)
    assert not torch.allclose(straight, single, atol=1e-3)
    assert not straight.requires_grad


def test_with_hard_labels_the_distance_is_that_of_the_supervised_losses():
    valid = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(2)) > 0.3
    weights = valid.float()[:, None]
    mask = (draw(2, 1, 5, 6) > 0).float()
    logits = draw(2, 1, 5, 6, seed=1)
    counted = valid.float().mean()
    ours = divergence(logits, Pseudo(mask, weights), HeadLayout(("mask",)))
    assert torch.isclose(ours, LOSSES["bce"](logits, mask[:, 0], valid) * counted)
    numbers = torch.randint(0, 3, (2, 5, 6), generator=torch.Generator().manual_seed(3))
    logits = draw(2, 3, 5, 6, seed=4)
    ours = divergence(logits, Pseudo(one_hot(numbers, 3), weights), HeadLayout(("mask",), 3))
    assert torch.isclose(ours, LOSSES["ce"](logits, numbers.float(), valid) * counted)
    ours = divergence(logits, Pseudo(one_hot(numbers, 3), weights), HeadLayout(("mask",), 3), dice=2.0) - ours
    assert 0 < ours < 2


def test_with_soft_labels_the_distance_is_that_of_torch_and_heads_add_up():
    maps = torch.cat([draw(2, 2, 5, 6).sigmoid(), draw(2, 1, 5, 6, seed=5).tanh()], dim=1)
    logits, weights = draw(2, 3, 5, 6, seed=1), torch.ones(2, 3, 5, 6)
    expected = (
        F.binary_cross_entropy_with_logits(logits[:, 0], maps[:, 0])
        + F.binary_cross_entropy_with_logits(logits[:, 1], maps[:, 1])
        + 5 * F.mse_loss(logits[:, 2].tanh(), maps[:, 2])
    )
    assert torch.isclose(divergence(logits, Pseudo(maps, weights), ALL_HEADS.layout), expected)
    target = draw(2, 3, 5, 6, seed=6).softmax(1)
    expected = F.cross_entropy(logits, target)
    assert torch.isclose(divergence(logits, Pseudo(target, weights[:, :1]), HeadLayout(("mask",), 3)), expected)


def test_soft_dice_is_least_where_the_maps_are_equal():
    maps = draw(2, 1, 5, 6).sigmoid()
    weights = torch.ones(2, 1, 5, 6)

    def of(logits):
        without = divergence(logits, Pseudo(maps, weights), HeadLayout(("mask",)))
        return float(divergence(logits, Pseudo(maps, weights), HeadLayout(("mask",)), dice=1.0) - without)

    assert of(maps.logit()) == pytest.approx(0, abs=1e-5)
    assert of(maps.logit() + 0.5) > 1e-3
    assert of(maps.logit() - 0.5) > 1e-3


def test_pixels_that_do_not_count_do_not():
    maps, weights = draw(2, 3, 5, 6).sigmoid(), torch.ones(2, 3, 5, 6)
    weights[..., 3:] = 0
    logits = draw(2, 3, 5, 6, seed=1)
    changed = logits.clone()
    changed[..., 3:] = 9
    for dice in (0.0, 1.0):
        values = [divergence(each, Pseudo(maps, weights), ALL_HEADS.layout, dice=dice) for each in (logits, changed)]
        assert torch.equal(*values)


def test_entropy_is_that_of_the_distributions():
    logits = draw(2, 3, 5, 6)
    expected = sum(Bernoulli(logits=logits[:, n]).entropy().mean() for n in range(2))
    assert torch.isclose(entropy(logits, ALL_HEADS.layout), expected)
    expected = Categorical(logits=logits.movedim(1, -1)).entropy().mean()
    assert torch.isclose(entropy(logits, HeadLayout(("mask",), 3)), expected)
    assert entropy(torch.zeros(1, 1, 2, 2), HeadLayout(("mask",))).item() == pytest.approx(math.log(2))
