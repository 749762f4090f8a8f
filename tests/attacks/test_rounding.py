from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.attacks import round_to_bits
from anyscope.errors import BadInput


def pair(seed: int, epsilon: float, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    originals = torch.rand((2, 1, 6, 7), generator=random)
    if whole:
        originals = (originals * 255).round() / 255
    return originals, (originals + epsilon * (2 * torch.rand(originals.shape, generator=random) - 1)).clamp(0, 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.floats(0, 40), st.booleans(), st.sampled_from(["linf", "l2"]))
def test_levels_are_whole_and_half_a_level_is_the_most(seed, levels, whole, norm):
    epsilon = levels / 255
    originals, images = pair(seed, epsilon, whole)
    rounded = round_to_bits(images, originals, epsilon, norm)
    grey = rounded.double().numpy() * 255
    assert np.abs(grey - np.round(grey)).max() < 1e-4
    assert rounded.min() >= 0
    assert rounded.max() <= 1
    assert float((rounded - originals).abs().max()) <= epsilon + 0.5 / 255 + 1e-6


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 32))
def test_whole_radii_around_whole_levels_are_kept(seed, levels):
    originals, images = pair(seed, levels / 255, whole=True)
    rounded = round_to_bits(images, originals, levels / 255)
    assert float((rounded - originals).abs().max()) <= levels / 255 + 1e-6


def test_worked_by_hand():
    """Levels of 0..3: in a ball of .2 around .5 both 1/3 and 2/3 are inside, and .52 is nearer to 2/3."""
    image, original = torch.full((1, 1, 1, 1), 0.52), torch.full((1, 1, 1, 1), 0.5)
    assert float(round_to_bits(image, original, 0.2, bits=2)) == pytest.approx(2 / 3)
    # From .6 with a radius of .05 to .56: the nearest level 2/3 is outside the ball, and so are all others.
    assert float(round_to_bits(image + 0.04, original + 0.1, 0.05, bits=2)) == pytest.approx(2 / 3)
    # From .62 with a radius of .3 to .32, at 1/3 - .0133: 1/3 is inside.
    assert float(round_to_bits(image - 0.2, original + 0.12, 0.3, bits=2)) == pytest.approx(1 / 3)
    # From .62 with a radius of .25 to .37: the nearest level 1/3 is outside, 2/3 is the one inside.
    assert float(round_to_bits(image - 0.15, original + 0.12, 0.25, bits=2)) == pytest.approx(2 / 3)
    assert float(round_to_bits(image - 0.15, original + 0.12, 0.25, "l2", bits=2)) == pytest.approx(1 / 3)


@pytest.mark.parametrize("bits", [0, 17])
def test_impossible_bits(bits):
    with pytest.raises(BadInput, match="1 to 16"):
        round_to_bits(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 0.1, bits=bits)
