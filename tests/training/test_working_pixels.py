from __future__ import annotations

import pytest

from anyscope.datasets import open_dataset
from anyscope.training.settings import train_settings
from anyscope.training.working_pixels import advice, object_diameter_px, with_working_pixels

from ..adaptation.conftest import write_discs


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Discs of a radius of 20 pixels, too far apart to touch."""
    return write_discs(tmp_path_factory.mktemp("large") / "data", count=3, shape=(400, 400), radius=20, seed=4)


def test_the_diameter_is_that_of_the_discs(large):
    found = object_diameter_px(open_dataset(large).labelled(None), "semantic")
    assert 38 < found < 60  # some of the discs touch or are cut


def test_a_known_pixel_size_becomes_the_working_pixel_size(large):
    from anyscope.images import ReadOptions

    source = open_dataset(large, ReadOptions(voxel_size_nm=(4.0, 4.0))).labelled(None)
    diameter = object_diameter_px(source, "semantic")
    chosen = with_working_pixels(train_settings(), source, 10)
    assert chosen.pixel_size_nm == pytest.approx(4 * diameter / 10, rel=0.01)
    assert chosen.zoom == 1


def test_an_unknown_pixel_size_becomes_a_zoom(large):
    source = open_dataset(large).labelled(None)
    chosen = with_working_pixels(train_settings(), source, 10)
    assert chosen.pixel_size_nm is None
    assert chosen.zoom == pytest.approx(10 / object_diameter_px(source, "semantic"), rel=0.01)


@pytest.mark.parametrize("given", [{"pixel_size_nm": 9.0}, {"zoom": 0.5}])
def test_what_was_set_is_left_alone(large, given):
    settings = train_settings(**given)
    assert with_working_pixels(settings, open_dataset(large).labelled(None), 10) == settings


@pytest.mark.parametrize("object_px", [0, 60, 45])
def test_small_objects_are_not_made_larger_nor_a_little_smaller(large, object_px):
    settings = train_settings()
    assert with_working_pixels(settings, open_dataset(large).labelled(None), object_px) == settings


def advised(root, **given):
    return advice(train_settings(**given), open_dataset(root).labelled(None))


def test_large_objects_are_advised_about(tmp_path):
    line = advised(write_discs(tmp_path / "data", count=2, shape=(900, 900), radius=60, seed=4))
    assert "--set zoom=0." in line
    diameter = float(line.split("about ")[1].split(" ")[0])
    assert float(line.split("zoom=")[1]) == pytest.approx(40 / diameter, rel=0.01)


def test_nobody_is_advised_who_chose_or_whose_objects_are_small_or_fill_the_image(tmp_path, large):
    wide = write_discs(tmp_path / "wide", count=2, shape=(900, 900), radius=60, seed=4)
    assert advised(wide, zoom=0.9) is None
    assert advised(large) is None
    assert advised(write_discs(tmp_path / "full", count=1, shape=(300, 300), radius=250, seed=4)) is None
