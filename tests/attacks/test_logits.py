from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from anyscope.attacks import class_logits
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec, build_segmenter


class Fixed:
    """A network whose logits are its channels' numbers."""

    def __init__(self, heads, classes, channels):
        self.spec = SimpleNamespace(layout=HeadLayout(tuple(heads), classes))
        self.channels = channels

    def __call__(self, images):
        return torch.arange(1.0, self.channels + 1).view(1, -1, 1, 1).expand(len(images), -1, *images.shape[2:])


def test_one_logit_becomes_two_classes():
    logits = class_logits(Fixed(("boundary", "mask", "distance"), 2, 3))(torch.zeros(2, 1, 4, 5))
    assert logits.shape == (2, 2, 4, 5)
    assert torch.equal(logits[0, :, 0, 0], torch.tensor([0.0, 2.0]))


def test_classes_stay_and_other_heads_go():
    logits = class_logits(Fixed(("mask", "boundary"), 3, 4))(torch.zeros(1, 1, 4, 4))
    assert torch.equal(logits[0, :, 0, 0], torch.tensor([1.0, 2.0, 3.0]))


def test_the_probability_of_a_segmenter_is_the_softmax():
    segmenter = build_segmenter(SegmenterSpec(model="unet_small", task="semantic"), seed=0).eval()
    images = torch.rand((1, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, logits = segmenter(images).sigmoid(), class_logits(segmenter)(images)
    torch.testing.assert_close(logits.softmax(dim=1)[:, 1:], expected)


def test_without_a_mask_there_is_nothing_to_attack():
    with pytest.raises(BadInput, match="mask head"):
        class_logits(Fixed(("boundary",), 2, 1))
