"""Histogram matching: scikit-image where padding plays no part, cases worked by hand where it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from skimage.exposure import match_histograms

from anyscope.adaptation.histogram import (
    LEVELS,
    Histogram,
    change_levels,
    count_levels,
    matching_table,
    without_padding,
)

histograms = arrays(np.float64, (1, LEVELS), elements=st.integers(0, 1000).map(float))


def grey(seed, mean, deviation, shape=(60, 70)):
    """Grey levels 1..255 without black."""
    values = np.random.default_rng(seed).normal(mean, deviation, shape)
    return np.clip(values, 3, 255).astype(np.uint8)


def unit(image):
    return (image[None] / 255).astype(np.float32)


def matched(image, other):
    return change_levels(unit(image), matching_table(count_levels([unit(image)]), count_levels([unit(other)])))


@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_image_without_padding(seed):
    image, other = grey(seed, 90, 20), grey(seed + 10, 160, 35, (40, 30))
    expected = match_histograms(image, other).astype(np.float32) / 255
    # scikit-image rounds down to the type of the image; ours stays between levels.
    assert match_histograms(image.astype(float), other.astype(float)) / 255 == pytest.approx(
        matched(image, other)[0], abs=1e-6
    )
    assert np.abs(matched(image, other)[0] - expected).max() <= 1.01 / 255


def test_every_channel_has_its_own_histogram():
    image = np.stack([grey(1, 90, 20), grey(2, 60, 10)])
    other = np.stack([grey(3, 150, 30), grey(4, 200, 12)])
    table = matching_table(count_levels([image / np.float32(255)]), count_levels([other / np.float32(255)]))
    found = change_levels((image / 255).astype(np.float32), table)
    expected = match_histograms(image.astype(float), other.astype(float), channel_axis=0) / 255
    assert found == pytest.approx(expected, abs=1e-6)


def test_black_is_extrapolated_by_hand():
    counts = np.zeros((3, LEVELS))
    counts[:, :4] = [[1000, 30, 20, 5], [1000, 10, 30, 5], [7, 30, 20, 5]]
    # 2 * 30 - 20 = 40; 2 * 10 - 30 < 0; only 7 are there, so that none of them is padding.
    assert without_padding(counts)[:, 0].tolist() == [40, 0, 7]
    assert np.array_equal(without_padding(counts)[:, 1:], counts[:, 1:])


@pytest.mark.parametrize("padded", ["image", "other", "both"])
def test_padding_changes_nothing_of_what_is_inside(padded):
    image, other = grey(1, 100, 25), grey(2, 150, 30)
    expected = matched(image, other)[0]
    with_border = [
        np.pad(each, 25) if padded in (name, "both") else each for name, each in (("image", image), ("other", other))
    ]
    found = matched(*with_border)[0]
    if padded != "other":
        assert not found[:25].any()
        assert not found[:, -25:].any()
        found = found[25:-25, 25:-25]
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_mean_histogram_is_matched():
    image, others = grey(1, 80, 20, (200, 200)), [grey(2, 120, 15), grey(3, 190, 25)]
    wanted = count_levels([unit(each) for each in others])
    found = change_levels(unit(image), matching_table(count_levels([unit(image)]), wanted))
    shares, expected = (np.cumsum(each) / each.sum() for each in (count_levels([found])[0], wanted[0]))
    assert np.abs(shares - expected).max() < 0.03


def test_levels_between_those_counted_are_interpolated():
    table = np.linspace(0, 1, LEVELS)[None] ** 2
    image = np.array([[[0.0, 1.0, 100 / 255, 100.5 / 255]]], np.float32)
    expected = [0, 1, (100 / 255) ** 2, ((100 / 255) ** 2 + (101 / 255) ** 2) / 2]
    assert change_levels(image, table)[0, 0] == pytest.approx(expected, abs=1e-6)


@given(histograms, histograms)
def test_tables_never_decrease_and_stay_in_range(counts, wanted):
    table = matching_table(counts, wanted)[0]
    assert table.min() >= 0
    assert table.max() <= 1
    assert (np.diff(table[1:]) >= 0).all()
    if counts[0, 0]:
        assert table[0] == 0


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_images(value):
    constant, image = np.full((1, 8, 8), value, np.float32), unit(grey(1, 100, 20))
    table = matching_table(count_levels([constant]), count_levels([image]))
    assert np.isfinite(change_levels(constant, table)).all()
    back = change_levels(image, matching_table(count_levels([image]), count_levels([constant])))
    # A black target is all padding: there is nothing to match to.
    assert back == pytest.approx(image if value == 0 else np.full_like(image, round(value * 255) / 255), abs=1e-6)


def test_an_image_matched_to_itself_stays():
    image = grey(1, 100, 20)
    assert matched(image, image) == pytest.approx(unit(image), abs=1e-6)


@pytest.fixture
def work(make_work):
    """Grey levels are those of 8 bits, so that the domains differ in brightness."""
    return make_work(intensity="dtype")


class TestStep:
    def test_source_planes_get_the_target_histogram(self, work):
        after = Histogram().run(work)
        (style,) = after.styles
        reader = work.source_patches("x").sampler.planes
        changed = style.plane(0, reader.plane(0, 0).image)
        target = work.target_patches("x").sampler.planes.plane(0, 0).image
        assert abs(reader.plane(0, 0).image.mean() - target.mean()) > 0.05
        assert changed.mean() == pytest.approx(target.mean(), abs=0.02)
        assert after.segmenter.spec.input.levels == ()
        assert after.source_patches("x")[0]["images"].mean() == pytest.approx(target.mean(), abs=0.06)

    def test_a_part_of_the_way_is_drawn_for_every_patch(self, work):
        (style,) = Histogram(least=0.25).run(work).styles
        (whole,) = Histogram().run(work).styles
        image = work.source_patches("x").sampler.planes.plane(0, 0).image
        assert np.array_equal(style.plane(0, image), image)
        assert np.array_equal(whole.patch(0, image, np.random.default_rng(0)), image)
        way = whole.plane(0, image) - image
        parts = []
        for seed in range(20):
            gone = style.patch(0, image, np.random.default_rng(seed)) - image
            parts.append(float((gone * way).sum() / (way * way).sum()))
            assert gone == pytest.approx(parts[-1] * way, abs=1e-6)
        assert min(parts) >= 0.25
        assert max(parts) <= 1
        assert max(parts) - min(parts) > 0.5

    def test_neighbouring_slices_are_matched_alike(self, work):
        (style,) = Histogram(least=0.5).run(work).styles
        image = work.source_patches("x").sampler.planes.plane(0, 0).image
        slices = np.concatenate([image, image, image])
        one = style.patch(0, image, np.random.default_rng(3))
        assert np.array_equal(style.patch(0, slices, np.random.default_rng(3)), np.concatenate([one, one, one]))

    def test_one_table_has_no_parts(self):
        with pytest.raises(ValidationError, match="source-to-target"):
            Histogram(direction="target-to-source", least=0.5)

    def test_the_other_direction_is_a_table_in_the_segmenter(self, work):
        import torch

        target = work.target_patches("x").sampler.planes.plane(0, 0).image
        source = work.source_patches("x").sampler.planes.plane(0, 0).image
        after = Histogram(direction="target-to-source").run(work)
        assert after.styles == ()
        (levels,) = after.segmenter.spec.input.levels
        assert len(levels) == LEVELS
        shown = change_levels(target, np.array([levels]))
        assert shown.mean() == pytest.approx(source.mean(), abs=0.02)
        inside = after.segmenter._relevel(torch.from_numpy(target)[None])[0].numpy()
        assert inside == pytest.approx(shown, abs=1e-5)

    def test_styles_are_added_to_those_that_are_there(self, work):
        once = Histogram().run(work)
        assert len(Histogram().run(once).styles) == 2
        assert work.styles == ()

    def test_the_scale_of_the_target_counts(self, work):
        """Noise that is averaged away when the target is made smaller is not in its histogram."""
        zoomed = replace(work, segmenter=work.segmenter)
        plain = Histogram().run(work).styles[0].tables[0]
        zoomed.segmenter.spec = zoomed.segmenter.spec.with_input(zoom=0.25)
        small = Histogram().run(zoomed).styles[0].tables[0]
        assert small.std() < plain.std()
