from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from scipy.stats import chisquare

from anyscope.corruptions import CORRUPTIONS, warp_images
from anyscope.corruptions.digital.blur import soft_disk
from anyscope.corruptions.digital.glass import _sources
from anyscope.corruptions.filters import gaussian_blur, mirrored
from anyscope.corruptions.words import WORD, random_words

from .natural import natural_image

CPU = torch.device("cpu")


def image(side: int = 64) -> torch.Tensor:
    return torch.from_numpy(natural_image(side))[None, None, None]


def test_words_are_even_and_not_repeated():
    words = random_words((400, 251), [3], "test", CPU)
    assert words.dtype == torch.int16
    counts = np.bincount(words.flatten().numpy() // 1024, minlength=32)
    assert len(counts) == 32
    assert chisquare(counts).pvalue > 1e-4
    neighbours = np.corrcoef(words[0, :, :-1].flatten(), words[0, :, 1:].flatten())[0, 1]
    assert abs(neighbours) < 0.01
    assert words.min() >= 0
    assert int(words.max()) < WORD


@pytest.mark.parametrize("sigma_px", [0.7, 1.0, 2.0, 6.0])
def test_gaussian_blur_is_that_of_scipy(sigma_px):
    plane = image()
    expected = ndimage.gaussian_filter(plane[0, 0, 0].numpy(), sigma_px, mode="nearest", truncate=4)
    np.testing.assert_allclose(gaussian_blur(plane, sigma_px)[0, 0, 0], expected, atol=2e-6)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_defocus_is_a_convolution_with_its_disk(severity):
    corruption = CORRUPTIONS["defocus_blur"].at(severity)
    disk = soft_disk(corruption.radius_px, corruption.rim_sigma_px).numpy()
    area = np.pi * corruption.radius_px**2
    assert disk.max() == pytest.approx(1 / area, rel=0.08)
    plane = image()
    expected = ndimage.convolve(plane[0, 0, 0].numpy(), disk, mode="nearest")
    np.testing.assert_allclose(corruption(plane, [0]).images[0, 0, 0], expected, atol=1e-5)


def test_mirrors_are_those_of_numpy():
    plane = image(12)
    np.testing.assert_array_equal(mirrored(plane, 30)[0, 0, 0], np.pad(plane[0, 0, 0].numpy(), 30, mode="reflect"))


def test_glass_hands_values_on_as_one_pixel_after_the_other_would():
    height, width, reach = 13, 17, 2
    rng = np.random.default_rng(4)
    steps = rng.integers(-reach, reach, (2, height, width))
    values = np.arange(height * width).reshape(height, width)
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            down, right = steps[:, row, column]
            values[row, column] = values[row + down, column + right]
    down, right = torch.from_numpy(steps).flatten(1)[:, None, None]
    np.testing.assert_array_equal(_sources(down, right, (height, width), reach)[0, 0], values.ravel())


@pytest.mark.parametrize("severity", [1, 5])
def test_jpeg_is_that_of_pillow(severity):
    corruption = CORRUPTIONS["jpeg_compression"].at(severity)
    plane = image()
    file = io.BytesIO()
    Image.fromarray((plane[0, 0, 0] * 255).round().byte().numpy()).save(file, "JPEG", quality=int(corruption.quality))
    expected = np.asarray(Image.open(file)).astype(float)
    ours = corruption(plane, [0]).images[0, 0, 0].numpy() * 255
    assert np.abs(ours - expected).max() <= 1


def test_elastic_field_moves_the_image_and_is_as_wide_as_theory_says():
    plane = image(256)
    corruption = CORRUPTIONS["elastic_transform"].at(5)
    result = corruption(plane.expand(4, -1, -1, -1, -1), range(4))
    torch.testing.assert_close(result.images, warp_images(plane.expand(4, -1, -1, -1, -1), result.field).clamp(0, 1))
    sigma_px = 0.01 * 256
    smoothed = 1 / (2 * np.sqrt(np.pi) * sigma_px)  # standard deviation that a Gaussian leaves of white noise
    expected = corruption.gain * 0.005 * 256 / np.sqrt(3) * smoothed
    assert float(result.field.std()) == pytest.approx(expected, rel=0.05)
    edge = torch.cat([result.field[..., :2].flatten(), result.field[..., -2:].flatten()])
    assert float(edge.std()) == pytest.approx(expected, rel=0.25)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_grey_levels_by_hand(severity, seed):
    plane = torch.rand((1, 1, 1, 9, 11), generator=torch.Generator().manual_seed(seed))
    flat = plane.numpy()

    def corrupted(name: str) -> torch.Tensor:
        return CORRUPTIONS[name].at(severity)(plane, [seed]).images

    bits = CORRUPTIONS["bit_depth"].at(severity)
    quantised = corrupted("bit_depth")
    assert len(quantised.unique()) <= 2**bits.bits
    assert (quantised - plane).abs().max() <= 0.5 / (2**bits.bits - 1) + 1e-6
    assert torch.equal(bits(quantised, [0]).images, quantised)
    exponent = CORRUPTIONS["gamma"].at(severity).exponent
    np.testing.assert_allclose(corrupted("gamma"), flat**exponent, rtol=1e-5, atol=1e-7)
    contrast = CORRUPTIONS["inversion"].at(severity).contrast
    np.testing.assert_allclose(corrupted("inversion"), 0.5 + contrast * (flat - 0.5), atol=1e-6)


def test_the_last_inversion_is_the_negative():
    plane = image()
    torch.testing.assert_close(CORRUPTIONS["inversion"].at(5)(plane, [0]).images, 1 - plane)


def test_resampling_takes_fine_stripes_away_and_keeps_broad_ones():
    column = torch.arange(128, dtype=torch.float32)
    fine, broad = (0.5 + 0.4 * torch.cos(2 * np.pi * column / period).expand(1, 1, 1, 128, -1) for period in (4, 64))
    corruption = CORRUPTIONS["resampling"].at(4)  # pixels four times as large
    assert corruption(fine, [0]).images[..., 8:-8].std() < 0.02
    assert (corruption(broad, [0]).images - broad)[..., 8:-8].abs().max() < 0.05


def test_impulses_are_as_many_as_stated_and_the_rest_is_untouched():
    plane = torch.full((1, 1, 1, 400, 400), 0.4)
    for severity in (1, 5):
        corruption = CORRUPTIONS["impulse_noise"].at(severity)
        result = corruption(plane, [5]).images
        assert set(result.unique().tolist()) == {0.0, float(plane[0, 0, 0, 0, 0]), 1.0}
        for value in (0, 1):
            assert float((result == value).float().mean()) == pytest.approx(corruption.fraction / 2, rel=0.06)
    weak, strong = (CORRUPTIONS["impulse_noise"].at(severity)(plane, [5]).images != plane for severity in (1, 5))
    assert not (weak & ~strong).any()  # the same pattern, only more of it
