"""Colours to grey, and to ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.color import rgb2gray

from anyscope.errors import BadInput
from anyscope.images.channels import label_dtype, label_ids, luminance
from anyscope.seeding import generator


def test_luminance_by_hand() -> None:
    colours = np.array([100, 200, 50], np.uint8).reshape(3, 1, 1, 1)
    assert luminance(colours).item() == round(0.299 * 100 + 0.587 * 200 + 0.114 * 50) == 153


@given(arrays(np.uint16, (1, 2, 5, 4)))
def test_equal_colours_give_exactly_their_value(grey: np.ndarray) -> None:
    assert np.array_equal(luminance(np.repeat(grey, 3, axis=0)), grey)


def test_luminance_is_near_that_of_other_weights() -> None:
    # scikit-image weights by ITU-R BT.709; both agree within the difference of the weights.
    colours = generator(0, "colours").random((3, 1, 20, 30))
    other = rgb2gray(np.moveaxis(colours[:, 0], 0, -1))
    assert np.abs(luminance(colours)[0, 0] - other).max() < (0.299 - 0.2125) + (0.7154 - 0.587) + (0.114 - 0.0721)


def test_alpha_is_dropped_and_dtype_kept() -> None:
    for dtype in ("b1", "u1", "u2", "i4", "f2", "f4", "f8"):
        colours = np.ones((4, 1, 2, 2), dtype)
        colours[3] = 0
        grey = luminance(colours)
        assert grey.shape == (1, 1, 2, 2)
        assert grey.dtype == np.dtype(dtype)
        assert (grey == 1).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_whole_floats_are_ids(dtype: str) -> None:
    ids = label_ids(np.array([[[[0, 1, 2048]]]], dtype), 0, "a.tif")
    assert ids.dtype == label_dtype(np.dtype(dtype))
    assert ids.dtype.kind == "i"
    assert ids.ravel().tolist() == [0, 1, 2048]


@given(st.integers(-(2**31), 2**31 - 1))
def test_float64_holds_every_int32(number: int) -> None:
    assert label_ids(np.full((1, 1, 1, 1), number, np.float64), 0, "a.tif").item() == number


def test_largest_float_beyond_the_integers_is_refused() -> None:
    with pytest.raises(BadInput, match="labels hold the number"):
        label_ids(np.full((1, 1, 1, 1), 2.0**63), 0, "a.tif")
    with pytest.raises(BadInput, match="labels hold the number"):
        label_ids(np.full((1, 1, 1, 1), 2.0**31, np.float32), 0, "a.tif")


def test_colour_coded_ids() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    colours = np.concatenate([grey, grey, grey, np.full_like(grey, 255)])
    assert np.array_equal(label_ids(colours, 4, "a.png"), grey)
    colours[1, 0, 0, 0] = 9
    with pytest.raises(BadInput, match="colours that differ between channels"):
        label_ids(colours, 4, "a.png")
