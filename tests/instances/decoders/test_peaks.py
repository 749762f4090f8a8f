"""Hills of the distance: which peaks stand out, and where that is judged from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, generate_binary_structure
from skimage.measure import label
from skimage.morphology import h_maxima

from anyscope.errors import BadInput
from anyscope.instances import Peaks

from ..objects import centre_of, perfect_maps


def row(heights, **given):
    """Ids along a row whose distances are given in units of 8 px."""
    values = np.array(heights, np.float32)[None, None]
    maps = {"mask": np.ones_like(values), "distance": np.tanh(values)}
    return Peaks(smoothing_px=0, min_size_px=0, **given)(maps)[0, 0].tolist()


def test_a_dip_is_a_share_of_the_lower_peak():
    """From 0.9 down to 0.6 is a third."""
    assert len(set(row([0.5, 0.9, 0.6, 1.2, 0.3], dip=0.32))) == 2
    assert len(set(row([0.5, 0.9, 0.6, 1.2, 0.3], dip=0.34))) == 1
    assert len(set(row([0.05, 0.09, 0.06, 0.12, 0.03], dip=0.32))) == 2  # at any scale
    assert len(set(row([1.2, 0.4, 0.6, 0.5, 1.1], dip=0.2))) == 2  # the middle one leans on the right one
    assert len(set(row([0.5, -0.1, -0.05, -0.2], dip=0.0))) == 1  # nothing below the outline stands out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.3, 0.6]), st.sampled_from([2, 3]))
def test_as_many_as_h_maxima_of_the_logarithm(seed, dip, dimensions):
    """A relative fall of a height is an absolute one of its logarithm."""
    heights = gaussian_filter(np.random.default_rng(seed).random((3, 24, 30)), (1, 2, 2)).astype(np.float32)
    maps = {"mask": np.ones_like(heights), "distance": np.tanh(heights)}
    found = Peaks(dip=dip, smoothing_px=0, min_size_px=0, dimensions=dimensions)(maps)
    logarithm = np.log(np.arctanh(np.tanh(heights)).astype(np.float64))
    parts = [logarithm] if dimensions == 3 else list(logarithm)
    assert found.max() == sum(count(part, -np.log(1 - dip)) for part in parts)
    assert (found > 0).all()


def count(heights, depth):
    """Peaks at least so deep; scikit-image finds none where nothing is, but the highest one always stands."""
    across_faces = generate_binary_structure(heights.ndim, 1)
    return max(1, label(h_maxima(heights, depth, across_faces), connectivity=1).max())


def pair(radius_px, gap_px, shape=(80, 160)):
    """Two discs whose centres are so many pixels apart, the nearer half of the plane to each."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    first, second = (shape[1] - gap_px) // 2, (shape[1] + gap_px) // 2
    from_first, from_second = (np.hypot(y - shape[0] // 2, x - at) for at in (first, second))
    inside = np.minimum(from_first, from_second) < radius_px
    return np.where(inside, 1 + (from_second < from_first), 0)[None].astype(np.uint16)


@pytest.mark.parametrize("heads", [("mask", "boundary", "distance"), ("mask", "distance"), ("mask", "boundary")])
def test_one_dip_parts_small_and_large_pairs(heads):
    """Of maps that know nothing of the rim between the two: the necks are all there is."""
    for radius_px in (6, 30):
        reference = pair(radius_px, round(1.5 * radius_px))
        found = Peaks()(perfect_maps((reference > 0).astype(np.uint16), heads))
        assert found.max() == 2
        assert min((found[reference == one] == found[reference == one][0]).mean() for one in (1, 2)) > 0.95
        blob = (pair(radius_px, radius_px // 3) > 0).astype(np.uint16)
        assert Peaks()(perfect_maps(blob, heads)).max() == 1


def test_boundary_or_centre_alone():
    reference = pair(14, 27)
    boundary = perfect_maps(reference, ("mask", "boundary"))
    assert Peaks()(boundary).max() == 2
    assert Peaks(dip=0.5)({"mask": boundary["mask"], "centre": centre_of(reference)}).max() == 2
    with pytest.raises(BadInput, match="decoder 'peaks'"):
        Peaks()({"mask": boundary["mask"]})


def test_slices_or_the_volume():
    plane = pair(12, 30)
    maps = {head: np.repeat(values, 3, axis=0) for head, values in perfect_maps(plane, ("mask", "distance")).items()}
    assert Peaks()(maps).max() == 6
    assert Peaks(dimensions=3)(maps).max() == 2


def test_many_peaks():
    """More than any table starts with."""
    noise = np.random.default_rng(0).random((1, 300, 300)).astype(np.float32)
    found = Peaks(dip=0, smoothing_px=0, min_size_px=0)({"mask": np.ones_like(noise), "distance": np.tanh(noise)})
    assert found.max() == count(noise[0].astype(np.float64), 1e-9) > 10_000
