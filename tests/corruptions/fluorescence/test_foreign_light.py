from __future__ import annotations

import numpy as np
import pytest
import scipy
import torch

from anyscope.corruptions import CORRUPTIONS
from anyscope.corruptions.fluorescence import assume_acquisition
from anyscope.microscope.optics import bleed_through


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("channels", [2, 3])
def test_channels_are_mixed_by_the_matrix(channels):
    photons = random_images(1, channels, 1, 12, 14)
    mixed = CORRUPTIONS["bleed_through"].at(3).light(photons, [0], assume_acquisition(photons))
    matrix = np.full((channels, channels), 0.2) + 0.8 * np.eye(channels)
    np.testing.assert_allclose(mixed[0, :, 0].numpy(), bleed_through(photons[0, :, 0].numpy(), matrix), rtol=1e-5)


def test_a_single_channel_gets_the_structure_of_another_field():
    photons = random_images(2, 1, 2, 24, 31)
    acquisition = assume_acquisition(photons)
    corruption = CORRUPTIONS["bleed_through"].at(5)
    mixed = corruption.light(photons, [0, 1], acquisition)
    other = (mixed - photons) / 0.5
    # Pixels of the image itself, elsewhere, without a seam: neighbours there were neighbours, or the same pixel.
    values = photons[0, 0, 0].flatten()
    image, moved = photons[0, 0, 0], other[0, 0, 0]
    distance, place = (moved.reshape(-1, 1) - values).abs().min(1)
    assert distance.max() < 1e-5
    place = place.reshape(24, 31)
    rows, columns = place // image.shape[1], place % image.shape[1]
    assert (rows.diff(dim=0).abs() <= 1).all()
    assert (columns.diff(dim=1).abs() <= 1).all()
    assert rows.unique().numel() > 12
    assert abs(float(torch.corrcoef(torch.stack([image.flatten(), moved.flatten()]))[0, 1])) < 0.2
    assert not torch.allclose(corruption.light(photons, [5, 6], acquisition), mixed)


def test_haze_is_the_image_and_its_mirror_image_out_of_focus():
    photons = random_images(1, 1, 1, 48, 64)
    hazy = CORRUPTIONS["out_of_focus_haze"].at(4).light(photons, [0], assume_acquisition(photons))
    plane = photons[0, 0, 0].double().numpy()
    both = plane + plane[::-1, ::-1]
    theirs = plane + scipy.ndimage.gaussian_filter(both, 12.0, mode="reflect", truncate=6)
    np.testing.assert_allclose(hazy[0, 0, 0].numpy(), theirs, rtol=1e-3)


def test_autofluorescence_is_a_lognormal_field_of_its_mean():
    photons = torch.zeros((2, 2, 2, 128, 128))
    light = CORRUPTIONS["autofluorescence"].at(3).light(photons, [0, 1], assume_acquisition(photons))
    torch.testing.assert_close(light.mean((-2, -1)), torch.full((2, 2, 2), 20.0), rtol=1e-4, atol=0)
    assert light.min() > 0
    assert torch.equal(light[:, 0], light[:, 1])
    assert not torch.equal(light[:, :, 0], light[:, :, 1])
    deviation = torch.log(light).std(dim=(-2, -1)).mean().item()
    assert deviation == pytest.approx(0.6, abs=0.1)
    neighbours = torch.log(light)[0, 0, 0]
    near = torch.corrcoef(torch.stack([neighbours[:, :-1].flatten(), neighbours[:, 1:].flatten()]))[0, 1]
    assert near > 0.95
