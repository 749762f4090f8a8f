"""Tiles cover slices once, lie on the stride, and have their halo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.inference.tiles import Layout, axis_spans, chunks, gaussian_weights


@given(st.integers(1, 400), st.sampled_from([1, 2, 4, 16]), st.integers(0, 4), st.integers(1, 12))
def test_cores_cover_an_axis_once_and_keep_their_halo(length, stride, halos, cores):
    halo = halos * stride
    tile = 2 * halo + cores * stride
    spans = axis_spans(length, tile, halo, stride)
    covered = np.zeros(length, int)
    for span in spans:
        covered[span.core] += 1
        assert span.length <= tile
        assert span.start % stride == 0
        assert span.stop == length or span.stop % stride == 0
        assert span.start == 0 or span.first - span.start >= halo
        assert span.stop == length or span.stop - span.last >= halo
        assert span.inner.stop - span.inner.start == span.core.stop - span.core.start
    np.testing.assert_array_equal(covered, 1)


@given(st.integers(1, 400), st.sampled_from([1, 2, 16]), st.integers(0, 4), st.integers(1, 12))
def test_no_tiling_has_fewer_tiles_and_none_is_tiny(length, stride, halos, cores):
    halo = halos * stride
    tile = 2 * halo + cores * stride
    spans = axis_spans(length, tile, halo, stride)
    least = 1 if length <= tile else -(-(length - 2 * halo) // (tile - 2 * halo))
    assert len(spans) <= least
    lengths = [span.length for span in spans]
    assert max(lengths) - min(lengths) < stride or len(spans) == 1


def test_a_tile_without_core_is_refused():
    with pytest.raises(BadInput, match="at least 80"):
        axis_spans(1000, 64, 32, 16)


def test_layout_counts_pixels_and_describes_itself():
    layout = Layout((128, 128), 16, 16)
    assert layout.pixels((128, 128)) == 128 * 128
    assert layout.describe((128, 128)) == "untiled"
    assert len(layout.tiles((224, 128))) == 2
    assert layout.pixels((224, 128)) == (224 + 32) * 128
    assert layout.describe((224, 128)) == "2 tiles of up to 128 x 128, halo 16, 14% more pixels, equal to untiled"
    assert Layout((64, 128), 16, 16).exchanged().tile == (128, 64)


@given(st.integers(1, 5), st.integers(1, 7))
def test_chunks_hold_every_pair_once_and_one_shape(slices, batch):
    tiles = Layout((32, 32), 8, 4).tiles((70, 101))
    seen = []
    for numbers, parts in chunks(tiles, slices, batch):
        assert len({part.shape for part in parts}) == 1
        assert len(numbers) == len(parts) <= batch
        seen += list(zip(numbers, parts, strict=True))
    assert sorted(seen) == sorted((z, tile) for z in range(slices) for tile in tiles)


def test_weights_are_symmetric_positive_and_highest_in_the_middle():
    weights = gaussian_weights((9, 16))
    np.testing.assert_allclose(weights, weights[::-1, ::-1])
    assert weights.min() > 0
    assert weights.argmax() == 4 * 16 + 7
    # half a tile from the middle is four standard deviations away
    assert gaussian_weights((801, 1))[0, 0] == pytest.approx(np.exp(-((400 / (801 / 8)) ** 2) / 2), rel=1e-5)
