"""Cleaning, maps, and both painters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyscope.synthesis.cleaning import clean
from anyscope.synthesis.maps import painter_maps
from anyscope.synthesis.painting import BLURS_PX, LearnedPainter, PhysicalPainter, fit_physics
from anyscope.synthesis.scenes import Scene

from .conftest import blobs


def test_noise_is_taken_out_and_nothing_else():
    _, image = blobs(0)
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 0.05, image.shape), 0, 1).astype(np.float32)
    cleaned = clean(noisy)
    assert cleaned.dtype == np.float32
    assert np.mean((cleaned - image) ** 2) < 0.25 * np.mean((noisy - image) ** 2)
    flat = np.full((32, 32), 0.5, np.float32)
    assert np.array_equal(clean(flat), flat)


def test_maps_say_where_how_bright_and_nothing_twice(scenes):
    drawn = scenes[0]
    depth, level, grain = painter_maps(drawn, np.random.default_rng(0))
    inside = drawn.labels > 0
    assert (depth[inside] > 0).all()
    assert (depth[~inside] < 0).all()
    middle = depth[drawn.labels == 1].max()
    assert middle == pytest.approx(np.tanh(6 / 10), abs=0.06)  # a disc of radius 6
    assert level[inside] == pytest.approx(2 * drawn.flat[inside] - 1)
    assert np.abs(grain).max() <= 1
    assert grain.std() == pytest.approx(1 / 3, abs=0.02)
    again = painter_maps(drawn, np.random.default_rng(1))
    assert np.array_equal(again[:2], np.stack([depth, level]))
    assert not np.array_equal(again[2], grain)


def test_rims_between_neighbours_are_rims():
    labels = np.zeros((20, 40), np.int32)
    labels[:, :20], labels[:, 20:] = 1, 2
    depth = painter_maps(Scene(labels, np.array([0.5, 0.6], np.float32), 0.1), np.random.default_rng(0))[0]
    assert depth[10, 19] == depth[10, 20] == depth.min()
    assert depth[10, 0] > 0.9


@pytest.mark.parametrize(("texture", "roundness"), [(0.0, 0.0), (0.3, 0.0), (0.0, 1.0), (0.35, 0.5)])
def test_physics_keeps_the_light_of_every_object(scenes, texture, roundness):
    """A blur much finer than the objects moves light over the rim, but makes none."""
    drawn = scenes[0]
    light = PhysicalPainter(0.5, texture, roundness).paint(drawn, np.random.default_rng(0))
    for number in (1, 2, 3):
        y, x = np.nonzero(drawn.labels == number)
        box = slice(y.min() - 4, y.max() + 5), slice(x.min() - 4, x.max() + 5)
        flat = (drawn.flat[box] - drawn.background).sum()
        assert (light[box] - drawn.background).sum() == pytest.approx(flat, rel=0.02)


def test_the_blur_that_made_images_is_found(scenes):
    truth = PhysicalPainter(BLURS_PX[4], 0.1, 0.0)
    made = [(scene, truth.paint(scene, np.random.default_rng(9))) for scene in scenes]
    found = fit_physics(made, np.random.default_rng(0))
    assert found.blur_px == BLURS_PX[4]
    assert found.describe()["by"] == "physics"


def test_a_network_paints_any_size():
    generator = torch.nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        generator.weight.copy_(torch.tensor([0.0, 1.0, 0.0]).reshape(1, 3, 1, 1))
        generator.bias.zero_()
    painter = LearnedPainter(generator, {"dataset": "d"})
    for shape in ((5, 7), (33, 30)):
        labels = np.zeros(shape, np.int32)
        labels[1:3, 1:3] = 1
        drawn = Scene(labels, np.array([0.75], np.float32), 0.25)
        assert painter.paint(drawn, np.random.default_rng(0)) == pytest.approx(drawn.flat)
    assert painter.describe() == {"by": "learned", "dataset": "d"}
