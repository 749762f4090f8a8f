from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.segmentation import find_boundaries

from anyscope.reports import pictures
from anyscope.reports.colouring import Colouring, neighbours, object_colours
from anyscope.reports.palette import BOTH, CONFUSED, OBJECTS, PREDICTION, REFERENCE

LABELS_OF_MANY = arrays(np.int64, (6, 7), elements=st.integers(0, 30))


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_grey_of_a_ramp() -> None:
    ramp = np.linspace(-3, 9, 1001).reshape(7, 143)
    grey = pictures.to_grey(ramp, 10, 90)
    assert grey.ravel()[100] == 0
    assert grey.ravel()[900] == 255
    assert grey.ravel()[500] in (127, 128)
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((2, 2), 5.0), [[128, 128], [128, 128]]),
        (np.full((2, 2), np.nan), [[0, 0], [0, 0]]),
        (np.array([[np.nan, 0.0], [1.0, np.inf]]), [[0, 0], [255, 255]]),
        (np.array([[3.0, np.nan]]), [[128, 0]]),
    ],
)
def test_grey_of_odd_images(image: np.ndarray, expected: list[list[int]]) -> None:
    assert pictures.to_grey(image).tolist() == expected


def test_a_sparse_image_is_not_black() -> None:
    image = np.zeros((100, 100))
    image[50, 50] = 1
    assert pictures.to_grey(image)[50, 50] == 255


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_shown_shape_is_bounded(height: int, width: int) -> None:
    shown = pictures.shown_shape((height, width))
    assert max(shown) <= 768
    assert min(shown) >= 1
    if max(height, width) <= 768:
        assert shown[0] % height == shown[1] % width == 0
        assert shown[0] // height == shown[1] // width
        assert 2 * max(shown) > 768


def test_shrinking_averages() -> None:
    grey = np.array([[0, 100, 10, 30], [50, 50, 20, 20]], np.uint8)
    assert pictures.shrink(grey, (1, 2)).tolist() == [[50, 20]]
    assert pictures.shrink(grey, (4, 8)) is grey


def test_labels_keep_their_values_at_any_size() -> None:
    labels = np.array([[1, 2], [3, 2**40]])
    assert pictures.resample_labels(labels, (4, 4)).tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [3, 3, 2**40, 2**40],
        [3, 3, 2**40, 2**40],
    ]
    assert pictures.resample_labels(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]]


@given(arrays(np.int64, (9, 11), elements=st.integers(0, 4)))
def test_rims_agree_with_scikit_image(labels: np.ndarray) -> None:
    assert (pictures.rims(labels, 1) == find_boundaries(labels, connectivity=2, mode="inner")).all()


def test_errors_by_hand() -> None:
    reference, prediction = np.array([[0, 1, 0, 1, 2]]), np.array([[0, 0, 1, 1, 1]])
    layer = pictures.errors(reference, prediction)[0]
    assert [tuple(pixel[:3]) for pixel in layer[1:]] == [REFERENCE, PREDICTION, BOTH, CONFUSED]
    assert layer[0, 3] == 0
    assert layer[3, 3] < layer[1, 3]


def test_outlines_that_coincide_are_white() -> None:
    square = np.zeros((9, 9), int)
    square[2:7, 2:7] = 1
    layer = pictures.outlines(square, square, 1)
    drawn = layer[..., 3] > 0
    assert drawn.sum() == 16
    assert {tuple(pixel) for pixel in layer[drawn][:, :3]} == {BOTH}
    moved = pictures.outlines(square, np.roll(square, 1, 1), 1)
    assert tuple(moved[4, 2, :3]) == REFERENCE
    assert tuple(moved[4, 7, :3]) == PREDICTION


def test_touching_objects_have_other_colours() -> None:
    labels = np.zeros((10, 20), int)
    labels[:, :10], labels[:, 10:] = 1, 2
    layer = pictures.objects(labels, 1)
    assert tuple(layer[5, 2, :3]) != tuple(layer[5, 17, :3])
    assert layer[5, 2, 3] < 255 == layer[5, 9, 3] == layer[5, 10, 3]


def test_objects_can_be_outlined_alone_and_in_given_colours() -> None:
    labels = np.zeros((9, 9), int)
    labels[2:7, 2:7] = 4
    layer = pictures.objects(labels, 1, 0, Colouring(np.array([4]), np.array([3], np.int32)))
    assert (layer[..., 3] > 0).sum() == 16
    assert tuple(layer[2, 2, :3]) == OBJECTS[2]


@given(LABELS_OF_MANY, st.integers(1, 3))
def test_neighbours_are_drawn_in_different_colours(labels: np.ndarray, wished: int) -> None:
    layer = pictures.objects(labels, 1, colouring=object_colours(labels, wished=wished))
    for first, second in neighbours(labels).tolist():
        assert layer[labels == first][0, :3].tolist() != layer[labels == second][0, :3].tolist()


def test_layers_over_large_images_are_averaged_without_mixing_colours() -> None:
    assert pictures.drawn_shape((100, 80), (700, 560)) == (700, 560)
    assert pictures.drawn_shape((1000, 800), (768, 614)) == (1536, 1228)
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[0, 0] = (*REFERENCE, 255)
    layer[0, 1] = (*PREDICTION, 68)
    layer[2:, 2:] = (*BOTH, 255)
    soft = pictures.soften(layer, (2, 2))
    assert soft[0, 0].tolist() == [*REFERENCE, 85]  # (255 + 68) / 4 = 80.75, in steps of 17
    assert soft[1, 1].tolist() == [*BOTH, 255]
    assert not soft[0, 1].any()
    assert pictures.soften(layer, (4, 4)) is layer


def test_a_line_of_one_pixel_is_not_lost_when_an_image_is_made_smaller() -> None:
    labels = np.zeros((1536, 1536), np.uint8)
    labels[:, 700:] = 1
    labels[:, 900:] = 2
    shape = pictures.shown_shape(labels.shape)
    fine = pictures.drawn_shape(labels.shape, shape)
    layer = pictures.soften(pictures.objects(pictures.resample_labels(labels, fine), 1, 0), shape)
    assert (layer[..., 3] > 0).any(axis=1).all()
    assert len(pictures.png_uri(layer)) < 20_000


def test_flatten_blends() -> None:
    grey = np.array([[100, 100]], np.uint8)
    layer = np.array([[[200, 0, 100, 255], [200, 0, 100, 51]]], np.uint8)
    assert pictures.flatten(grey, layer).tolist() == [[[200, 0, 100], [120, 80, 100]]]


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_png_is_lossless(channels: int | None) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (17, 23) if channels is None else (17, 23, channels)).astype(np.uint8)
    picture = decoded(pictures.png_uri(array))
    assert (np.asarray(picture) == array).all()


def test_layers_are_small_and_lossless() -> None:
    rng = np.random.default_rng(0)
    layer = pictures.errors(rng.integers(0, 3, (64, 64)), rng.integers(0, 3, (64, 64)))
    picture = decoded(pictures.png_uri(layer))
    assert picture.mode == "P"
    assert (np.asarray(picture.convert("RGBA"))[layer[..., 3] > 0] == layer[layer[..., 3] > 0]).all()
    assert (np.asarray(picture.convert("RGBA"))[..., 3] == layer[..., 3]).all()


@given(st.integers(1, 20000), st.floats(0.05, 1e5))
@example(400, 99999.99999999999)
def test_scale_bar_is_round_and_fits(width: int, pixel_size: float) -> None:
    bar = pictures.scale_bar(width, pixel_size)
    number, unit = bar.label.split(" ")
    length = float(number) * {"nm": 1, "µm": 1e3, "mm": 1e6}[unit]
    assert length / (width * pixel_size) == pytest.approx(bar.fraction)
    assert 0.1 * (1 - 1e-9) <= bar.fraction <= 0.25
    leading = f"{length:.3e}".split("e")[0]
    assert float(leading) in (1, 2, 5)
