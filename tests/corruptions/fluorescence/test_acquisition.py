from __future__ import annotations

import numpy as np
import pytest
import torch

from anyscope.corruptions.fluorescence import acquisition_of_record, assume_acquisition
from anyscope.corruptions.fluorescence.acquisition import full_scale, to_scale
from anyscope.errors import BadInput
from anyscope.microscope import MICROSCOPES, Camera
from anyscope.microscope.camera import expected_image
from tests.corruptions.fluorescence.conftest import synthetic


def test_assumed_photons_run_from_the_pedestal_to_about_a_hundred():
    acquisition = assume_acquisition(torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 1, 3))
    assert acquisition.photons.flatten().tolist() == [5, 55, 105]
    assert not acquisition.exact
    assert acquisition.foreground is None
    assert full_scale(acquisition).item() == pytest.approx(100)


def test_the_assumed_camera_gives_back_the_grey_levels():
    images = torch.rand((2, 1, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    acquisition = assume_acquisition(images)
    numbers = expected_image(acquisition.camera, acquisition.photons[0, 0, 0].numpy())
    again = to_scale(torch.from_numpy(numbers).expand(2, 1, 1, 8, 8), acquisition)
    torch.testing.assert_close(again[0], images[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("pixel_size_nm", "aperture"), [(None, 1.4), (65, 1.4), (100, 1.4), (250, 0.75), (650, 0.75)])
def test_the_objective_is_the_one_with_the_nearest_pixels(pixel_size_nm, aperture):
    optics = assume_acquisition(torch.zeros((1, 1, 1, 4, 4)), pixel_size_nm).optics
    assert optics.numerical_aperture == aperture
    assert optics.pixel_size_nm == (pixel_size_nm or 65)


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan")])
def test_pixels_have_a_size(size):
    with pytest.raises(BadInput, match="positive"):
        assume_acquisition(torch.zeros((1, 1, 1, 4, 4)), size)


def test_a_record_tells_everything():
    first, second = synthetic()
    acquisition = acquisition_of_record(
        [first.record, second.record],
        [first.signal, second.signal],
        [(100, 200), (90, 300)],
        [first.labels, second.labels],
    )
    reference = MICROSCOPES["reference"]
    assert acquisition.exact
    assert acquisition.camera == reference.camera
    assert acquisition.optics == reference.objectives["organelles"]
    assert np.array_equal(acquisition.photons[1, 0, 0].numpy(), second.signal)
    assert np.array_equal(acquisition.foreground[0, 0].numpy(), first.labels > 0)
    assert acquisition.low.tolist() == [100, 90]
    assert acquisition.high.tolist() == [200, 300]


def test_pixels_of_a_binning_camera_are_larger():
    record = synthetic()[0].record
    microscope = {**record["microscope"], "camera": Camera(binning=2).model_dump(mode="json")}
    acquisition = acquisition_of_record([{**record, "microscope": microscope}], [np.ones((3, 8, 8))], [(0, 1)])
    assert acquisition.optics.pixel_size_nm == 130
    assert acquisition.photons.shape == (1, 1, 3, 8, 8)
    assert acquisition.foreground is None


def test_batches_are_of_one_microscope_and_shape():
    one, other = synthetic()[0], synthetic(1, 64, "mitochondria", "shifted")[0]
    with pytest.raises(BadInput, match="one microscope"):
        acquisition_of_record([one.record, other.record], [one.signal, one.signal], [(0, 1)] * 2)
    with pytest.raises(BadInput, match="one shape"):
        acquisition_of_record([one.record] * 2, [one.signal, one.signal[1:]], [(0, 1)] * 2)
    with pytest.raises(BadInput, match="one record"):
        acquisition_of_record([one.record], [one.signal], [(0, 1)] * 2)
    with pytest.raises(BadInput, match="size of the signals"):
        acquisition_of_record([one.record], [one.signal], [(0, 1)], [one.labels[1:]])
