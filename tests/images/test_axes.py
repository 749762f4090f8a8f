"""What stored axes mean, and the questions where nothing says so."""

from __future__ import annotations

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images.axes import Layout, lay_out
from anyscope.images.options import ReadOptions
from anyscope.images.stored import Stored


def _stored(shape: tuple[int, ...], axes: str | None = None, rgb: bool = False) -> Stored:
    return Stored(shape, np.dtype("u1"), axes, rgb=rgb)


@pytest.mark.parametrize(
    ("shape", "stored", "given", "letters", "result"),
    [
        ((8, 9), None, None, "yx", (1, 1, 8, 9)),
        ((20, 8, 9), None, None, "zyx", (1, 20, 8, 9)),
        ((1, 8, 9), None, None, "-yx", (1, 1, 8, 9)),
        ((1, 1, 20, 8, 9), None, None, "--zyx", (1, 20, 8, 9)),
        ((3, 8, 9), None, "cyx", "cyx", (3, 1, 8, 9)),
        ((3, 8, 9), None, "zyx", "zyx", (1, 3, 8, 9)),
        ((3, 8, 9), "?yx", "cyx", "cyx", (3, 1, 8, 9)),
        ((1, 3, 8, 9), None, "cyx", "-cyx", (3, 1, 8, 9)),
        ((3, 1, 8, 9), None, "cyx", "c-yx", (3, 1, 8, 9)),
        ((8, 9, 3), None, "yxs", "yxs", (3, 1, 8, 9)),
        ((8, 9, 7), "xyz", None, "xyz", (1, 7, 9, 8)),
        ((1, 2, 5, 8, 9), "tczyx", None, "-czyx", (2, 5, 8, 9)),
        ((6, 2, 8, 9), "?cyx", None, "zcyx", (2, 6, 8, 9)),
        ((5, 1, 8, 9), "tzyx", "zyx", "z-yx", (1, 5, 8, 9)),
        ((6, 8, 9, 1), "zyxs", None, "zyxs", (1, 6, 8, 9)),
    ],
)
def test_layouts(
    shape: tuple[int, ...], stored: str | None, given: str | None, letters: str, result: tuple[int, ...]
) -> None:
    layout = lay_out(_stored(shape, stored), "a.tif", given)
    assert layout.letters == letters
    assert layout.shape == result


@pytest.mark.parametrize(
    ("shape", "axes", "given", "question"),
    [
        ((3, 512, 512), None, None, "channels or slices?; give --axes cyx or --axes zyx"),
        ((2, 512, 512), "?yx", None, "channels or slices?; give --axes cyx or --axes zyx"),
        ((512, 512, 3), None, None, "colours, channels, or x?; give --axes yxs"),
        ((20, 512, 512, 4), None, None, "colours, channels, or x?; give --axes zyxs"),
        ((5, 20, 512, 512), None, None, "what do the axes of shape (5, 20, 512, 512) mean?"),
        (
            (7, 512, 512),
            "tyx",
            None,
            "time axis of length 7 (shape (7, 512, 512)); expected no time; to read the frames",
        ),
        ((7, 5, 64, 64), "tzyx", None, "split it into one file for each time point"),
        ((7, 5, 64, 64), "?zyx", None, "what do the axes"),
        ((2, 64, 64, 3), "cyxs", None, "has channels and colours"),
        ((20, 64, 64), None, "yx", "--axes yx for 3 stored axes"),
        ((64, 64), None, "zyx", "--axes zyx for 2 stored axes"),
        ((64,), None, None, "expected at least two axes"),
    ],
)
def test_questions(shape: tuple[int, ...], axes: str | None, given: str | None, question: str) -> None:
    with pytest.raises(BadInput) as caught:
        lay_out(_stored(shape, axes), "a.tif", given)
    assert question in str(caught.value)


def test_time_is_read_as_slices_when_the_user_says_so() -> None:
    with pytest.raises(BadInput, match="give --axes zyx"):
        lay_out(_stored((7, 64, 64), "tyx"), "a.tif")
    assert lay_out(_stored((7, 64, 64), "tyx"), "a.tif", "zyx").shape == (1, 7, 64, 64)


def test_labels_have_no_channels() -> None:
    assert lay_out(_stored((3, 64, 64)), "a.tif", labels=True).shape == (1, 3, 64, 64)


def test_boxes_and_arrangement_agree_with_transposition() -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(1, 5, 3, 2, 4)  # -, x, z, c, y
    layout = Layout("-xzcy", array.shape)
    whole = array[0].transpose(2, 1, 3, 0)
    region = Roi((1, 1, 2), (3, 4, 5))
    box = layout.box(region, slice(1, 2))
    assert np.array_equal(layout.arrange(array[box]), whole[(slice(1, 2), *region.slices)])


@pytest.mark.parametrize("axes", ["zy", "zzyx", "qyx", "", "yx "])
def test_options_refuse_impossible_axes(axes: str) -> None:
    with pytest.raises(BadInput, match="axes"):
        ReadOptions(axes=axes)


@pytest.mark.parametrize("channel", [-1, "red", True, 1.5])
def test_options_refuse_impossible_channels(channel: object) -> None:
    with pytest.raises(BadInput, match="channel"):
        ReadOptions(channel=channel)  # type: ignore[arg-type]
