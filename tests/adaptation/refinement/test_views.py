from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyscope.adaptation.refinement.views import (
    StrongView,
    WeakView,
    cutmix_box,
    paste,
    target_views,
    turned,
    turned_back,
)
from anyscope.seeding import generator


def test_views_share_their_geometry_and_differ_in_grey_levels(work):
    still = StrongView(contrast=0, brightness=0.3, gamma=1, noise=0, blur_px=0)
    patch = target_views(work, WeakView(), still, 2)[5]
    assert set(patch) == {"weak", "strong0", "strong1"}
    shifts = []
    for name in ("strong0", "strong1"):
        inner = (patch[name] > 0) & (patch[name] < 1) & (patch["weak"] > 0) & (patch["weak"] < 1)
        shift = (patch[name] - patch["weak"])[inner]
        assert float(shift.std()) < 1e-6
        shifts.append(float(shift.mean()))
    assert shifts[0] != pytest.approx(shifts[1], abs=1e-3)
    assert max(map(abs, shifts)) <= 0.3


def test_a_patch_depends_on_its_number_alone(work):
    first, again = (target_views(work, WeakView(), StrongView(), 1) for _ in range(2))
    later = {number: again[number] for number in (7, 2)}
    for number in (2, 7):
        assert all(torch.equal(view, later[number][name]) for name, view in first[number].items())
    assert not torch.equal(first[2]["strong0"], first[7]["strong0"])


def test_the_weak_view_is_the_patch_itself_unless_told_otherwise(work):
    views = target_views(work, WeakView(), StrongView(), 1)
    assert torch.allclose(views[3]["weak"], views.patches[3]["images"], atol=1e-6)
    noisy = target_views(work, WeakView(noise=0.2), StrongView(), 1)
    assert not torch.allclose(noisy[3]["weak"], views[3]["weak"], atol=1e-3)


@given(size=st.integers(8, 200), seed=st.integers(0, 1000))
def test_boxes_lie_inside_and_have_the_published_size(size, seed):
    box = cutmix_box(size, generator(seed), chance=1.0)
    assert box is not None
    height, width = (side.stop - side.start for side in box)
    assert all(0 <= side.start < side.stop <= size for side in box)
    assert 0.02 * size**2 - 2 * size <= height * width <= 0.4 * size**2 + 2 * size


def test_boxes_come_as_often_as_asked():
    drawn = [cutmix_box(64, generator(number), chance=0.3) is not None for number in range(400)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.07)
    assert cutmix_box(64, generator(0), chance=0.0) is None


def test_pasting_by_hand():
    batch = torch.arange(3.0)[:, None, None, None].expand(3, 2, 4, 4)
    mixed = paste(batch, [(slice(0, 2), slice(1, 3)), None, (slice(3, 4), slice(0, 4))])
    assert mixed[0].sum() == 2 * 4 * 1
    assert torch.equal(mixed[0, 0, :2, 1:3], torch.ones(2, 2))
    assert torch.equal(mixed[1], batch[1])
    assert torch.equal(mixed[2, :, 3], torch.zeros(2, 4))
    assert torch.equal(mixed[2, :, :3], batch[2, :, :3])


def test_eight_orientations_and_back():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    views = [turned(image, turn) for turn in range(8)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    assert all(torch.equal(turned_back(view, turn), image) for turn, view in enumerate(views))
