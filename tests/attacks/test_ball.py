from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.attacks.ball import project, random_corner, random_point, size_of, steepest

SEEDS = st.integers(0, 2**31)
RADII = st.floats(0.001, 3)
NORMS = st.sampled_from(["linf", "l2"])


def case(seed: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Originals with some pixels at the ends of the range, and images around them."""
    random = torch.Generator().manual_seed(seed)
    originals = (1.4 * torch.rand((3, 2, 4, 5), generator=random, dtype=torch.float64) - 0.2).clamp(0, 1)
    return originals, originals + spread * torch.randn(originals.shape, generator=random, dtype=torch.float64)


@settings(deadline=None, max_examples=60)
@given(SEEDS, RADII, RADII, NORMS)
def test_a_projection_lies_inside_and_nothing_inside_is_nearer(seed, epsilon, spread, norm):
    originals, images = case(seed, spread)
    projected = project(images, originals, epsilon, norm)
    assert (size_of(projected - originals, norm) <= epsilon + 1e-9).all()
    assert projected.min() >= 0
    assert projected.max() <= 1
    torch.testing.assert_close(project(projected, originals, epsilon, norm), projected, rtol=0, atol=1e-9)
    # The variational inequality of projections to convex sets: (x - Px) . (q - Px) <= 0 for all q in the set.
    others = [originals, random_point(originals, epsilon, norm, [seed, seed + 1, seed + 2], "test")]
    others.append(random_corner(originals, epsilon, norm, [seed, seed + 1, seed + 2], "test"))
    for other in others:
        product = ((images - projected) * (other - projected)).flatten(1).sum(dim=1)
        assert (product <= 1e-6 * (1 + spread**2)).all()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(0.001, 0.5), NORMS)
def test_what_is_inside_stays(seed, epsilon, norm):
    originals, _ = case(seed, 0)
    inside = random_point(originals, epsilon, norm, [1, 2, 3], "test")
    torch.testing.assert_close(project(inside, originals, epsilon, norm), inside, rtol=0, atol=1e-12)


def test_a_projection_worked_by_hand():
    """Change (3, 4) in a ball of 1 goes to (.6, .8). With only .1 to go upwards the first stays there, and the second
    has sqrt(1 - .01) = .995 left, which 0..1 cuts at .9."""
    originals = torch.tensor([[[[0.2, 0.1]]], [[[0.9, 0.1]]]], dtype=torch.float64)
    images = originals + torch.tensor([[[[0.3, 0.4]]], [[[3.0, 4.0]]]], dtype=torch.float64)
    halves = project(images, originals, 0.25, "l2")
    torch.testing.assert_close(halves[0, 0, 0], torch.tensor([0.35, 0.3], dtype=torch.float64))
    expected = torch.tensor([1.0, 0.1 + (0.25**2 - 0.1**2) ** 0.5], dtype=torch.float64)
    torch.testing.assert_close(halves[1, 0, 0], expected)
    torch.testing.assert_close(project(images, originals, 5, "l2")[1, 0, 0], torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steps_have_length_one_even_for_tiny_gradients(norm):
    gradient = torch.randn((2, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    for scale in (1.0, 1e-30):
        direction = steepest(gradient * scale, norm)
        torch.testing.assert_close(size_of(direction, norm), torch.ones(2))
        product = (direction * gradient).flatten(1).sum(dim=1)
        dual = gradient.abs().flatten(1).sum(dim=1) if norm == "linf" else gradient.flatten(1).norm(dim=1)
        torch.testing.assert_close(product, dual)
    assert not steepest(torch.zeros(1, 1, 2, 2), norm).any()


def test_random_points_fill_the_ball():
    """In n = 4 dimensions the mean of radius / epsilon is 4/5 in the ball; uniform on -eps..eps has the mean 0."""
    originals = torch.full((3000, 1, 2, 2), 0.5)
    seeds = range(3000)
    round_ = (random_point(originals, 0.2, "l2", seeds, "test") - originals) / 0.2
    radius = round_.flatten(1).norm(dim=1)
    assert abs(float(radius.mean()) - 0.8) < 0.01
    assert radius.max() <= 1 + 1e-5
    square = (random_point(originals, 0.2, "linf", seeds, "test") - originals) / 0.2
    assert abs(float(square.mean())) < 0.02
    assert abs(float(square.square().mean()) - 1 / 3) < 0.01


def test_random_corners_are_at_the_rim():
    originals = torch.rand((4, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    flat = random_corner(originals, 0.1, "l2", range(4), "test") - originals
    torch.testing.assert_close(size_of(flat, "l2"), torch.full((4,), 0.1), rtol=1e-3, atol=0)
    long = random_corner(originals, 3.0, "l2", range(4), "test") - originals
    torch.testing.assert_close(size_of(long, "l2"), torch.full((4,), 3.0), rtol=1e-3, atol=0)
    corner = random_corner(originals, 0.1, "linf", range(4), "test")
    free = (originals > 0.1) & (originals < 0.9)
    torch.testing.assert_close((corner - originals).abs()[free], torch.full((int(free.sum()),), 0.1))
    assert 0.3 < float((corner > originals)[free].float().mean()) < 0.7
