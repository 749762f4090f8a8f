from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from PIL import Image

from anyscope.reports.tiles import busiest_window, jpeg_uri, outline_path, unit_to_grey


def polygons(path: str) -> list[NDArray[np.float64]]:
    """The corners (x, y) of every closed piece of an SVG path."""
    pieces = re.findall(r"M([^MZ]+)Z", path)
    return [np.array([[float(part) for part in point.split()] for point in piece.split("L")]) for piece in pieces]


def area(corners: NDArray[np.float64]) -> float:
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def filled(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres are inside by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.column_stack([x.ravel(), y.ravel()])
    inside = np.zeros(len(centres), int)
    for corners in polygons(path):
        inside += Polygon(np.vstack([corners, corners[:1]]), closed=True).contains_points(centres)
    return (inside % 2 == 1).reshape(shape)


def test_outline_of_a_rectangle() -> None:
    labels = np.zeros((12, 10), int)
    labels[3:7, 2:8] = 5
    (corners,) = polygons(outline_path(labels))
    # 4 times 6 pixels, less a triangle with legs of half a pixel at each corner.
    assert area(corners) == pytest.approx(24 - 4 * 0.125)
    assert (corners[:, 0].min(), corners[:, 0].max()) == (2, 8)
    assert (corners[:, 1].min(), corners[:, 1].max()) == (3, 7)


def test_outline_is_closed_along_the_border() -> None:
    (corners,) = polygons(outline_path(np.ones((6, 9), int)))
    assert corners.min() == 0
    assert tuple(corners.max(axis=0)) == (9, 6)


def test_outlines_of_objects_and_holes() -> None:
    y, x = np.mgrid[:60, :80]
    labels = np.where((y - 25) ** 2 + (x - 25) ** 2 < 400, 7, 0)
    labels[(y - 25) ** 2 + (x - 25) ** 2 < 36] = 0
    labels[(y - 30) ** 2 + (x - 60) ** 2 < 150] = 2
    path = outline_path(labels)
    assert len(polygons(path)) == 3
    assert (filled(path, labels.shape) == (labels > 0)).mean() > 0.99
    assert outline_path(np.zeros((5, 5), int)) == ""


def test_outlines_of_specks_are_bounded() -> None:
    specks = np.random.default_rng(0).random((144, 144)) > 0.6
    assert len(outline_path(specks.astype(int))) <= 12_000
    specks[40:100, 40:100] = True
    (longest, *_) = polygons(outline_path(specks.astype(int)))
    assert longest.max() - longest.min() > 60


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 2)), st.integers(1, 6)
)
def test_busiest_window_by_trying_all(labels: NDArray[np.int8], size: int) -> None:
    rows, columns = busiest_window(labels, size)
    rim = np.zeros(labels.shape, int)
    rim[1:] += np.diff(labels.astype(int), axis=0) != 0
    rim[:, 1:] += np.diff(labels.astype(int), axis=1) != 0
    height, width = min(size, labels.shape[0]), min(size, labels.shape[1])
    assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
    every = [
        rim[y : y + height, x : x + width].sum()
        for y in range(labels.shape[0] - height + 1)
        for x in range(labels.shape[1] - width + 1)
    ]
    assert rim[rows, columns].sum() == max(every)


def test_grey_is_not_stretched() -> None:
    assert unit_to_grey(np.array([[0.0, 0.2, 1.0, 1.5, np.nan]])).tolist() == [[0, 51, 255, 255, 0]]


def test_pictures_are_small_even_of_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (144, 144), np.uint8)
    uri = jpeg_uri(noise)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert picture.shape == noise.shape
    assert np.abs(picture.astype(int) - noise).mean() < 12
    # 60 corruptions at 3 severities, each with two outlines of specks
    assert 60 * 3 * (len(uri) + 2 * 12_000) < 10e6
