from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.corruptions import CORRUPTIONS
from anyscope.corruptions.fluorescence import assume_acquisition
from anyscope.corruptions.fluorescence.detector import Binning
from anyscope.microscope import Camera
from anyscope.microscope.camera import expected_image
from tests.corruptions.fluorescence.conftest import QUIET


def test_read_noise_is_added_in_quadrature(flat):
    acquisition = flat(20.0, QUIET.changed(read_noise_e=3.0))
    result = CORRUPTIONS["read_noise"].at(2)(acquisition.photons, [0], acquisition).images
    assert result.mean().item() == pytest.approx(120, abs=0.2)
    assert result.var().item() == pytest.approx(20 + 9 + 25 + 1 / 12, rel=0.03)


def test_read_noise_counts_before_the_multiplication(flat):
    camera = QUIET.changed(kind="emccd", em_gain=50.0, read_noise_e=10.0)
    acquisition = flat(0.0, camera.changed(offset_dn=2000.0))
    result = CORRUPTIONS["read_noise"].at(2)(acquisition.photons, [0], acquisition).images
    assert result.var().item() == pytest.approx(10**2 + (5 * 50) ** 2, rel=0.03)


def test_read_noise_of_a_real_image():
    images = torch.full((1, 1, 1, 200, 200), 0.5)
    result = CORRUPTIONS["read_noise"].at(3)(images, [0]).images
    assert result.std().item() == pytest.approx(7 / 0.82 / 100, rel=0.02)
    assert result.mean().item() == pytest.approx(0.5, abs=0.002)


def test_levels_of_read_noise_lower_the_snr_of_eight_as_photon_loss_does(exact):
    images, acquisition = exact
    kind = CORRUPTIONS["read_noise"]
    foreground = acquisition.foreground[0, 0]
    expected = torch.from_numpy(expected_image(acquisition.camera, acquisition.photons[0, 0, 0].numpy()))
    expected = ((expected - acquisition.low[0]) / (acquisition.high[0] - acquisition.low[0])).float()
    reached = []
    for severity in range(1, 6):
        result = kind.at(severity)(images, [3, 4], acquisition).images[0, 0, 0]
        noise = (result - expected)[~foreground].std()
        reached.append(float((result[foreground].mean() - result[~foreground].mean()) / noise))
    assert reached == pytest.approx([6, 4, 3, 2, 1.5], rel=0.1)


@pytest.mark.parametrize("severity", [1, 2, 5])
def test_excess_noise_multiplies_the_variance(flat, severity):
    corruption = CORRUPTIONS["em_excess_noise"].at(severity)
    acquisition = flat(50.0)
    result = corruption(acquisition.photons, [0], acquisition).images
    assert result.mean().item() == pytest.approx(150, rel=0.005)
    assert result.var().item() == pytest.approx(50 * corruption.excess + 1 / 12, rel=0.03)


def test_excess_noise_of_a_real_image_is_what_it_lacks():
    images = torch.full((1, 1, 1, 200, 200), 0.45)  # fifty photons
    result = CORRUPTIONS["em_excess_noise"].at(2)(images, [0]).images
    assert result.mean().item() == pytest.approx(0.45, rel=0.005)
    assert result.var().item() == pytest.approx(50 / 0.82 / 100**2, rel=0.04)


def test_saturation_cuts_what_is_brighter(exact):
    images, acquisition = exact
    corruption = CORRUPTIONS["saturation"].at(4)
    for result in (corruption(images, [0, 1], acquisition).images, corruption(images, [0, 1]).images):
        assert result.max().item() == pytest.approx(0.35)
        assert (result == result.max()).float().mean() > 0.01
    below = images < 0.35
    assert torch.equal(corruption(images, [0, 1]).images[below], images[below])


@pytest.mark.parametrize(("kind", "reads"), [("ccd", 1), ("scmos", 16)])
def test_binning_sums_counts_before_or_after_the_readout(flat, kind, reads):
    acquisition = flat(10.0, QUIET.changed(kind=kind, read_noise_e=8.0))
    result = CORRUPTIONS["binning"].at(3)(acquisition.photons, [0], acquisition).images
    counts = (result[..., ::4, ::4] - 100) * 16
    assert counts.mean().item() == pytest.approx(160, rel=0.01)
    assert counts.var().item() == pytest.approx(160 + reads * 8**2 + reads / 12, rel=0.07)


def test_binned_pixels_fill_their_block():
    images = torch.rand((1, 2, 1, 10, 13), generator=torch.Generator().manual_seed(0))
    result = CORRUPTIONS["binning"].at(2)(images, [0]).images
    assert result.shape == images.shape
    assert result[0, 1, 0, 3, 6].item() == pytest.approx(images[0, 1, 0, 3:6, 6:9].mean().item())
    assert torch.equal(result[..., 3:6, 6:9], result[..., 3:4, 6:7].expand(1, 2, 1, 3, 3))
    assert result[0, 0, 0, 9, 12].item() == pytest.approx(images[0, 0, 0, 9, 12].item())
    assert result[..., :9, :12].sum().item() == pytest.approx(images[..., :9, :12].sum().item(), rel=1e-5)


@pytest.mark.parametrize("camera", [Camera(binning=2, read_noise_e=1), Camera(kind="scmos", binning=2, bits=12)])
def test_cameras_that_bin_can_bin_more(flat, camera):
    light = flat(30.0, camera, size=64)
    result = CORRUPTIONS["binning"].at(1)(light.photons, [0], light).images
    single = expected_image(camera, np.full((2, 2), 7.5, np.float32)).item()
    assert result.mean().item() == pytest.approx(single, rel=0.02)


def test_hot_pixels_are_few_the_same_everywhere_and_nested():
    images = torch.zeros((1, 2, 3, 200, 200))
    acquisition = assume_acquisition(images)
    few, many = (CORRUPTIONS["hot_pixels"].at(severity).light(images, [1], acquisition) for severity in (3, 5))
    assert (few > 0).float().mean().item() == pytest.approx(0.01, rel=0.2)
    assert (many > 0).float().mean().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(few, few[:, :1, :1].expand_as(few))
    assert torch.equal(few[few > 0], many[few > 0])
    assert many[many > 0].mean().item() == pytest.approx(100, rel=0.06)
    assert many[many > 0].std().item() == pytest.approx(100, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(1, 20), st.integers(1, 20))
def test_whole_blocks_keep_their_counts_in_images_of_any_shape(factor, height, width):
    images = torch.rand((1, 1, 1, height, width), generator=torch.Generator().manual_seed(height * 31 + width))
    result = Binning(factor)(images, [0]).images
    assert result.shape == images.shape
    inside = (..., slice(height // factor * factor), slice(width // factor * factor))
    torch.testing.assert_close(result[inside].sum(), images[inside].sum(), rtol=1e-5, atol=1e-6)
    assert images.min() - 1e-6 <= result.min()
    assert result.max() <= images.max() + 1e-6
