from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from anyscope.adaptation.refinement.alignment import Alignment, shares_of_source
from anyscope.contracts import HeadLayout
from anyscope.models import build_segmenter

HEADS = ("mask", "boundary", "distance")


def row(*pixels):
    """Maps [1, 1, K, 1, W] of pixels, each a tuple of K values."""
    return torch.tensor(pixels).T[None, None, :, None]


def test_a_binary_head_by_hand():
    maps = row((0.9,), (0.9,), (0.4,), (0.4,))
    aligned = Alignment(torch.tensor([0.2]), HeadLayout(("mask",)), 1.0)(maps)
    # half of the pixels are decided for, a fifth is wanted: foreground times .4, background times 1.6
    few, fewer = 0.9 * 0.4 / (0.9 * 0.4 + 0.1 * 1.6), 0.4 * 0.4 / (0.4 * 0.4 + 0.6 * 1.6)
    assert aligned.flatten().tolist() == pytest.approx([few, few, fewer, fewer])
    half = Alignment(torch.tensor([0.2]), HeadLayout(("mask",)), 0.5)(maps).flatten()[0]
    assert half.item() == pytest.approx(0.9 * 0.4**0.5 / (0.9 * 0.4**0.5 + 0.1 * 1.6**0.5))


def test_classes_by_hand():
    maps = row((0.6, 0.3, 0.1), (0.5, 0.2, 0.3), (0.2, 0.7, 0.1), (0.3, 0.1, 0.6))
    aligned = Alignment(torch.tensor([0.25, 0.5, 0.25]), HeadLayout(("mask",), 3), 1.0)(maps)
    raw = torch.tensor([0.6 * 0.5, 0.3 * 2, 0.1 * 1])  # found are 1/2, 1/4, 1/4
    assert aligned[0, 0, :, 0, 0].tolist() == pytest.approx((raw / raw.sum()).tolist())
    assert aligned.sum(2).flatten().tolist() == pytest.approx([1] * 4)


def test_every_head_has_its_shares_and_the_distance_stays():
    maps = row((0.9, 0.1, -0.7), (0.2, 0.1, 0.8))
    aligned = Alignment(torch.tensor([0.5, 0.0, 0.1]), HeadLayout(HEADS), 1.0)(maps)
    assert torch.allclose(aligned[:, :, ::2], maps[:, :, ::2])  # half was wanted and found
    assert torch.allclose(aligned[:, :, 1], maps[:, :, 1])  # none was wanted and none found


def test_order_of_pixels_stays_and_factors_are_bounded():
    maps = torch.rand(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    aligned = Alignment(torch.tensor([0.05]), HeadLayout(("mask",)), 1.0)(maps)
    assert torch.equal(maps.flatten().argsort(), aligned.flatten().argsort())
    assert aligned.mean() < maps.mean()
    vanished = Alignment(torch.tensor([0.5]), HeadLayout(("mask",)), 1.0)(row((0.1,), (0.1,)))
    # ten times as much foreground at most, half as much background
    assert vanished.flatten().tolist() == pytest.approx([1.0 / (1.0 + 0.45)] * 2)


def test_shares_found_are_a_moving_average_that_can_be_stored():
    alignment = Alignment(torch.tensor([0.2]), HeadLayout(("mask",)), 1.0, decay=0.5)
    none, half, both = row((0.1,), (0.1,)), row((0.9,), (0.1,)), row((0.9,), (0.9,))
    for maps in (none, both, half):
        alignment(maps)
    # the mean of the first two, then half of the new
    assert alignment.state_dict()["found"].tolist() == pytest.approx([0.5])
    other = Alignment(torch.tensor([0.2]), HeadLayout(("mask",)), 1.0, decay=0.5)
    other.load_state_dict(alignment.state_dict())
    assert torch.equal(other(both), alignment(both))
    assert other.state_dict()["found"].tolist() == pytest.approx([0.75])


def shares_by_hand(work):
    """Of whole label images."""
    masks = [region.read_reference("semantic")[0] for region in work.domains.source]
    return sum(float((mask > 0).mean()) for mask in masks) / len(masks)


def test_shares_of_the_source_are_those_of_its_labels(make_work):
    work = make_work(foreground=1.0, patch_px=32)
    shares = shares_of_source(work)
    assert shares.tolist() == pytest.approx([shares_by_hand(work)], abs=0.06)
    heads = make_work(task="instances", heads=HEADS)
    assert shares_of_source(heads).shape == (3,)
    spec = work.segmenter.spec.model_copy(update={"classes": 3})
    classes = shares_of_source(replace(work, segmenter=build_segmenter(spec, 0)))
    assert classes.sum().item() == pytest.approx(1, abs=1e-5)
    assert classes[1:].tolist() == pytest.approx([float(shares), 0], abs=1e-5)
