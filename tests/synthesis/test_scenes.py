"""New scenes after old ones: exact labels, sizes and brightness of the objects they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from anyscope.errors import BadInput
from anyscope.synthesis.scenes import Scene, draw_scene

from .conftest import blobs

STORED = [Scene.of(*blobs(seed)) for seed in range(3)]


def test_a_scene_knows_what_was_measured():
    labels = np.zeros((20, 20), np.uint16)
    labels[2:6, 2:6], labels[10:14, 10:14] = 7, 9
    image = np.where(labels == 7, 0.5, np.where(labels == 9, 0.8, 0.1)).astype(np.float32)
    scene = Scene.of(labels, image)
    assert scene.levels.tolist() == pytest.approx([0.5, 0.8])
    assert scene.background == pytest.approx(0.1)
    assert set(np.unique(scene.labels)) == {0, 1, 2}
    assert scene.whole == [1, 2]


def test_what_the_border_cuts_is_no_shape_unless_there_is_no_other():
    labels = np.zeros((20, 20), np.uint8)
    labels[0:4, 0:4], labels[10:14, 10:14] = 1, 2
    assert Scene.of(labels, labels / np.float32(2)).whole == [2]
    labels[10:14, 10:14] = 0
    assert Scene.of(labels, labels / np.float32(2)).whole == [1]


@pytest.mark.parametrize("value", [0, 1])
def test_nothing_and_everything_are_no_scene(value):
    assert Scene.of(np.full((16, 16), value, np.uint8), np.zeros((16, 16), np.float32)) is None


@given(seed=st.integers(0, 2**32), height=st.integers(40, 200), width=st.integers(40, 200))
def test_labels_are_exact(seed, height, width):
    drawn = draw_scene(STORED, (height, width), np.random.default_rng(seed))
    assert drawn.labels.shape == (height, width)
    count = drawn.labels.max()
    assert len(drawn.levels) == count >= 1
    for number, box in enumerate(ndimage.find_objects(drawn.labels), start=1):
        own = drawn.labels[box] == number
        assert ndimage.label(own)[1] == 1
        assert own.sum() <= 1.15 * np.pi * 36  # discs of radius 6, turned
    assert drawn.levels.min() > drawn.background
    assert drawn.levels.max() <= 1
    flat = drawn.flat
    assert (flat[drawn.labels == 0] == np.float32(drawn.background)).all()
    assert flat[drawn.labels == 1][0] == drawn.levels[0]


def test_one_stream_gives_one_scene_and_another_another():
    one, again, other = (draw_scene(STORED, (90, 90), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.labels, again.labels)
    assert np.array_equal(one.levels, again.levels)
    assert not np.array_equal(one.labels, other.labels)


def test_density_and_sizes_are_those_of_the_images():
    drawn = [draw_scene(STORED, (192, 160), np.random.default_rng(seed)) for seed in range(20)]
    own = np.mean([(scene.labels > 0).mean() for scene in STORED])
    assert np.mean([(each.labels > 0).mean() for each in drawn]) == pytest.approx(own, rel=0.2)
    areas = [np.median(np.bincount(each.labels.ravel())[1:]) for each in drawn]
    assert np.median(areas) == pytest.approx(np.bincount(STORED[0].labels.ravel())[1], rel=0.1)


def test_neighbours_that_touch_go_on_touching():
    """Pairs of squares side by side: new scenes hold rims between objects too."""
    labels = np.zeros((80, 80), np.int32)
    for number, (y, x) in enumerate([(10, 10), (10, 50), (50, 10), (50, 50)]):
        labels[y : y + 12, x : x + 12] = 2 * number + 1
        labels[y : y + 12, x + 12 : x + 24] = 2 * number + 2
    scene = Scene.of(labels, (labels > 0).astype(np.float32) * np.float32(0.5))
    touching = 0
    for seed in range(10):
        new = draw_scene([scene], (80, 80), np.random.default_rng(seed)).labels
        right, left = new[:, 1:], new[:, :-1]
        touching += int(((right != left) & (right > 0) & (left > 0)).sum())
    assert touching > 50


def test_no_scene_is_refused():
    with pytest.raises(BadInput, match="none with objects"):
        draw_scene([], (64, 64), np.random.default_rng(0))


def test_fields_that_are_always_empty_are_refused():
    labels = np.zeros((500, 500), np.int32)
    labels[250:253, 250:253] = 1
    lonely = Scene(labels, np.array([0.5], np.float32), 0.1)
    with pytest.raises(BadInput, match="empty or full"):
        draw_scene([lonely], (16, 16), np.random.default_rng(0))


def test_drawn_without_gaps_in_its_numbers():
    drawn = draw_scene(STORED, (100, 100), np.random.default_rng(5))
    assert np.array_equal(np.unique(drawn.labels), np.arange(drawn.labels.max() + 1))
