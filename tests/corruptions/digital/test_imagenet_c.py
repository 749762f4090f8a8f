"""Ours beside the package imagecorruptions, at the same severities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from anyscope.corruptions import CORRUPTIONS
from anyscope.corruptions.planes import plane_numbers

from .natural import natural_image
from .peer import COMMON, load_peer, peer_corrupt

try:
    load_peer()
except ImportError as error:
    pytest.skip(f"imagecorruptions is not installed with all it needs: {error}", allow_module_level=True)

SIDE = 128
REPEATS = {"gaussian_noise": 16, "shot_noise": 16, "impulse_noise": 16, "speckle_noise": 16, "elastic_transform": 24}
SAME_PIXELS = {
    "gaussian_blur": 1.0,
    "defocus_blur": 1.6,
    "zoom_blur": 1.0,
    "contrast": 1.0,
    "brightness": 1.5,
    "pixelate": 1.6,
    "jpeg_compression": 2.0,
}
"""Where nothing is random: the largest difference in grey levels of 255, after that package has cut or
rounded to whole levels, ``pixelate`` twice."""
MARGIN = {"defocus_blur": 12}
"""Pixels near the edge that are left out, because it continues the image beyond its edges in another way."""
RINGS = (4, 8, 16, 32, 64)


def image() -> torch.Tensor:
    return torch.from_numpy(natural_image(SIDE))


def both(name: str, severity: int, peer_severity: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Ours and theirs [N, H, W]."""
    clean = image()
    count = REPEATS.get(name, 1)
    batch = clean.expand(count, 1, 1, -1, -1)
    ours = CORRUPTIONS[name].at(severity)(batch, range(count)).images[:, 0, 0]
    grey = (clean * 255).round().byte().numpy()
    theirs = [peer_corrupt(grey, peer_severity or severity, name, seed) for seed in range(count)]
    # the two largest kernels of the published disk are cut off and so do not add up to 1
    total = {4: 1.01298, 5: 1.01079}.get(severity, 1) if name == "defocus_blur" else 1
    return ours, torch.from_numpy(np.stack(theirs)) / total


def rings_of(images: torch.Tensor) -> list[torch.Tensor]:
    """Logarithms of the mean power in rings of Fourier space."""
    power = torch.fft.fft2(images).abs().square().mean(0)
    frequency = torch.from_numpy(np.fft.fftfreq(SIDE, 1 / SIDE)).float()
    radius = torch.hypot(frequency[:, None], frequency)
    return [power[(radius >= low) & (radius < 2 * low)].mean().clamp(min=1e-9).log() for low in RINGS]


def statistics(images: torch.Tensor) -> torch.Tensor:
    """Mean and spectrum of what has changed, and the spectrum of the image."""
    change = images - image()
    return torch.stack([10 * change.mean(), *rings_of(change), *rings_of(images)])


def apart(name: str, severity: int, peer_severity: int | None = None) -> float:
    """Largest difference of a statistic, both cut down to whole grey levels."""
    ours, theirs = both(name, severity, peer_severity)
    ours = ((ours * 255).floor() + 0.5).clamp(max=255) / 255
    return float((statistics(ours) - statistics(theirs)).abs().max())


TOLERANCE = 0.12


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("name", [name for name in COMMON if name not in SAME_PIXELS and name != "motion_blur"])
def test_random_changes_have_the_same_statistics(name, severity):
    assert apart(name, severity) < TOLERANCE


@pytest.mark.parametrize("severity", [1, 4])
@pytest.mark.parametrize("name", [name for name in COMMON if name not in SAME_PIXELS and name != "motion_blur"])
def test_the_next_severity_has_others(name, severity):
    assert apart(name, severity, severity + 1) > TOLERANCE


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", SAME_PIXELS)
def test_the_same_pixels_where_nothing_is_random(name, severity):
    ours, theirs = both(name, severity)
    inner = slice(MARGIN.get(name, 0), SIDE - MARGIN.get(name, 0))
    assert 255 * (ours - theirs)[:, inner, inner].abs().max() < SAME_PIXELS[name]


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_the_same_motion_in_the_same_direction(monkeypatch, severity):
    name = "motion_blur"
    clean = image()[None, None, None]
    [number] = plane_numbers([11], name, clean, 1)
    monkeypatch.setattr(np.random, "uniform", lambda low, high: low + (high - low) * float(number))
    theirs = peer_corrupt((clean[0, 0, 0] * 255).byte().numpy(), severity, name, 0)
    ours = CORRUPTIONS[name].at(severity)(clean, [11]).images[0, 0, 0]
    inner = (slice(45, -45), slice(45, -45))
    assert 255 * np.abs(ours.numpy() - theirs)[inner].max() < 1
    assert math.isclose(float(ours.mean()), float(theirs.mean()), abs_tol=0.02)
