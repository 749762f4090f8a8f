from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.corruptions import CORRUPTIONS, warp_images, warp_labels
from anyscope.corruptions.fluorescence import assume_acquisition
from anyscope.corruptions.fluorescence.filtering import filter_mirrored
from anyscope.corruptions.fluorescence.motion import Drift, path_kernel, smearing
from tests.corruptions.fluorescence.conftest import QUIET


def point(size: int = 65, planes: int = 1) -> torch.Tensor:
    image = torch.zeros((1, 1, planes, size, size))
    image[..., size // 2, size // 2] = 1000
    return image


def moments(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Centre (y, x) from the middle, and covariance."""
    weights = image.double().clamp(min=0).numpy()
    weights = weights / weights.sum()
    place = np.stack(np.indices(weights.shape)).reshape(2, -1) - weights.shape[0] // 2
    centre = place @ weights.ravel()
    return centre, np.cov(place, aweights=weights.ravel(), bias=True)


def light(name: str, severity: int, photons: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return CORRUPTIONS[name].at(severity).light(photons, [seed] * len(photons), assume_acquisition(photons))


@pytest.mark.parametrize("name", ["drift", "stage_vibration"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smeared_points_keep_their_light_and_their_place(name, seed):
    seen = light(name, 4, point(), seed)[0, 0, 0]
    assert seen.min() > -1e-3
    assert seen.sum().item() == pytest.approx(1000, rel=1e-4)
    centre, _ = moments(seen)
    assert np.abs(centre).max() < 0.02


def test_drift_has_the_length_and_stage_vibration_the_amplitude_it_says():
    _, spread = moments(light("drift", 4, point())[0, 0, 0])
    along = np.sqrt(np.linalg.eigvalsh(spread)[-1])
    assert along == pytest.approx(12 / np.sqrt(12), rel=0.02)  # evenly over the way
    _, spread = moments(light("stage_vibration", 4, point())[0, 0, 0])
    aside, along = np.sqrt(np.linalg.eigvalsh(spread))
    assert along == pytest.approx(6 / np.sqrt(2), rel=0.02)  # harmonic: a quarter of the square of twice the amplitude
    assert aside == pytest.approx(0.25 * 6 / np.sqrt(2), rel=0.1)


def test_smearing_is_a_convolution():
    image = torch.rand((2, 1, 2, 30, 34), generator=torch.Generator().manual_seed(0))
    paths = [np.array([[0.0, 0.0], [0.5, 2.0]]), np.array([[-1.0, 1.25], [3.0, -2.0], [0.0, 0.0]])]
    seen = filter_mirrored(image, smearing(paths, image.shape))
    for index, path in enumerate(paths):
        theirs = scipy.ndimage.convolve(image[index, 0, 1].double().numpy(), path_kernel(path), mode="reflect")
        np.testing.assert_allclose(seen[index, 0, 1].numpy(), theirs, atol=1e-5)


def test_kernel_of_a_path_by_hand():
    kernel = path_kernel(np.array([[0.0, 0.0], [0.0, 0.25]]))
    assert kernel.shape == (5, 5)
    assert kernel[2].tolist() == [0, 0, 0.875, 0.125, 0]
    assert kernel.sum() == 1


def test_a_stack_that_drifts_without_smearing_is_its_field():
    """Where the way of a plane is short, the field alone makes the image, and it points along one direction."""
    images = torch.rand((1, 1, 5, 40, 40), generator=torch.Generator().manual_seed(1))
    drift = Drift(smear_px=1e-6, shift_px=8.0)
    result = drift(images, [3])
    torch.testing.assert_close(result.images, warp_images(images, result.field), atol=2e-3, rtol=0)
    length = result.field[0, :, :, 0, 0].norm(dim=0)
    torch.testing.assert_close(length, torch.tensor([0.0, 2.0, 4.0, 6.0, 8.0]))


def test_labels_follow_the_drift():
    photons = point(65, 3)
    drift = Drift(smear_px=1.0, shift_px=10.0)
    acquisition = assume_acquisition(photons)
    seen = drift.light(photons, [2], acquisition)
    field = drift.field(photons.shape, [2], photons.device)
    labels = torch.zeros((1, 3, 65, 65), dtype=torch.int64)
    labels[..., 31:34, 31:34] = 1
    moved, _ = warp_labels(labels, field)
    for z in range(3):
        centre, _ = moments(seen[0, 0, z])
        expected, _ = moments(moved[0, z].double())
        assert np.abs(centre - expected).max() < 0.6
    assert np.hypot(*moments(seen[0, 0, 2])[0]) == pytest.approx(10, abs=0.1)


def test_a_single_plane_is_not_shifted():
    assert CORRUPTIONS["drift"].at(5)(point(), [0]).field is None
    assert CORRUPTIONS["stage_vibration"].at(5)(point(), [0]).field is None


def test_jitter_is_its_field(flat):
    ramp = torch.arange(64.0).expand(1, 2, 3, 48, 64).contiguous()
    jitter = CORRUPTIONS["scan_line_jitter"].at(4)
    result = jitter(ramp, [5])
    field = result.field
    assert field.shape == (1, 2, 3, 48, 64)
    assert (field[:, 0] == 0).all()
    assert torch.equal(field[:, 1], field[:, 1, :, :, :1].expand(-1, -1, -1, 64))
    assert field[:, 1, :, :, 0].std().item() == pytest.approx(2.5, rel=0.2)
    inner = slice(12, -12)
    shown = (ramp + field[:, None, 1])[..., inner]
    torch.testing.assert_close(result.images[..., inner], shown, atol=2e-3, rtol=0)
    exact = replace(flat(500 * ramp, QUIET), high=torch.tensor([500.0]), low=torch.tensor([0.0]))
    again = jitter(ramp, [5], exact)
    assert torch.equal(again.field, field)
    torch.testing.assert_close((again.images - 0.2)[..., inner], shown, atol=2.5, rtol=0.0)


def test_lines_and_planes_shift_on_their_own():
    field = CORRUPTIONS["scan_line_jitter"].at(3)(torch.zeros((2, 1, 2, 400, 4)), [0, 1]).field
    lines = field[:, 1, :, :, 0].reshape(4, 400)
    together = torch.corrcoef(lines) - torch.eye(4)
    assert together.abs().max() < 0.2
    neighbours = torch.corrcoef(torch.stack([lines[0, 1:], lines[0, :-1]]))[0, 1]
    assert abs(neighbours) < 0.2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=6))
def test_kernels_of_paths_hold_all_the_light_around_its_mean_place(points):
    path = np.array(points)
    kernel = path_kernel(path)
    half = kernel.shape[0] // 2
    line = np.arange(-half, half + 1)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    assert (kernel.sum(axis=1) @ line, kernel.sum(axis=0) @ line) == pytest.approx(tuple(path.mean(axis=0)), abs=1e-9)
