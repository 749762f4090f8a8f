"""What holds for every corruption of fluorescence where the light of an image is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from anyscope.corruptions import CORRUPTIONS, SEVERITIES, Acquisition, warp_labels
from anyscope.corruptions.fluorescence import ENTRIES, assume_acquisition, expose
from anyscope.corruptions.fluorescence.acquisition import to_scale
from anyscope.errors import BadInput
from anyscope.microscope.camera import dark_dn, dn_per_photon

NAMES = [entry.name for entry in ENTRIES]


def stack_of(acquisition: Acquisition, planes: int) -> Acquisition:
    foreground = acquisition.foreground
    assert foreground is not None
    return replace(
        acquisition,
        photons=acquisition.photons.repeat(1, 1, planes, 1, 1),
        foreground=foreground.repeat(1, planes, 1, 1),
    )


@pytest.mark.parametrize("name", NAMES)
def test_results_of_exact_acquisitions(name, exact):
    images, acquisition = exact
    stack = stack_of(acquisition, 2)
    result = CORRUPTIONS[name].at(5)(images.repeat(1, 1, 2, 1, 1), [1, 2], stack)
    assert result.images.shape == stack.photons.shape
    assert result.images.dtype == torch.float32
    assert torch.isfinite(result.images).all()
    if result.field is not None:
        _, inside = warp_labels(stack.foreground.long(), result.field)
        assert inside.float().mean() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_an_exact_image_depends_on_its_seed_alone(name, exact):
    images, acquisition = exact
    corruption = CORRUPTIONS[name].at(4)
    second = replace(
        acquisition,
        photons=acquisition.photons[1:],
        foreground=acquisition.foreground[1:],
        low=acquisition.low[1:],
        high=acquisition.high[1:],
    )
    together = corruption(images, [7, 8], acquisition).images
    assert torch.equal(together[1:], corruption(images[1:], [8], second).images)
    assert not torch.equal(together[1:], corruption(images[1:], [9], second).images)


@pytest.fixture(scope="module")
def brighter(exact) -> Acquisition:
    """Ten times the light on a scale ten times as wide, so that noise hides less."""
    _, acquisition = exact
    dark = dark_dn(acquisition.camera)
    return replace(
        acquisition,
        photons=10 * acquisition.photons,
        low=dark + 10 * (acquisition.low - dark),
        high=dark + 10 * (acquisition.high - dark),
    )


@pytest.mark.parametrize("name", NAMES)
def test_more_is_worse_of_exact_acquisitions(name, exact, brighter):
    camera = brighter.camera
    photons = brighter.photons * dn_per_photon(camera) + dark_dn(camera)
    clean = to_scale(photons, brighter)
    kind = CORRUPTIONS[name]
    distances = [
        float((kind.at(severity)(exact[0], [1, 2], brighter).images - clean).square().mean() ** 0.5)
        for severity in SEVERITIES
    ]
    noise = float((expose(brighter, [1, 2]) - clean).square().mean() ** 0.5)
    assert distances[-1] > 1.3 * noise
    assert all(later > 0.99 * earlier for earlier, later in pairwise(distances)), distances


def test_another_exposure_has_the_statistics_of_the_image(exact):
    images, acquisition = exact
    again = expose(acquisition, [11, 12])
    for image, other in zip(images, again.clamp(0, 1), strict=True):
        assert float(other.mean()) == pytest.approx(float(image.mean()), rel=0.01)
        assert float(other.std()) == pytest.approx(float(image.std()), rel=0.03)
        torch.testing.assert_close(
            torch.quantile(other.flatten(), torch.linspace(0.05, 0.95, 7)),
            torch.quantile(image.flatten(), torch.linspace(0.05, 0.95, 7)),
            atol=0.015,
            rtol=0.03,
        )
    assert not torch.equal(again, expose(acquisition, [13, 14]))


def test_an_acquisition_belongs_to_its_images(exact):
    images, acquisition = exact
    with pytest.raises(BadInput, match="of these very images"):
        CORRUPTIONS["background"].at(1)(images[..., :-1], [0, 1], acquisition)


@pytest.mark.parametrize("name", NAMES)
def test_without_an_acquisition_one_is_assumed(name, exact):
    images, _ = exact
    corruption = CORRUPTIONS[name].at(2)
    told = corruption(images, [3, 4], assume_acquisition(images))
    assert torch.equal(corruption(images, [3, 4]).images, told.images)
