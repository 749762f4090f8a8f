"""Specimen, stage or beam moving while the image is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.corruptions.corruption import Acquisition, Levels
from anyscope.corruptions.fluorescence.exposure import FilterCorruption, FluorescenceCorruption
from anyscope.corruptions.fluorescence.filtering import transfer_of
from anyscope.corruptions.randomness import draw_per_image, uniform_numbers
from anyscope.corruptions.warping import warp_images

_SAMPLES = 512
_BOW = 0.3
_ELLIPSE = 0.25
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Drift(FilterCorruption):
    """A specimen that drifts: each plane is smeared along its way, and the planes of a stack are shifted.

    The direction is random. The way of a plane is a bow around the place that its labels have; the shift grows evenly
    from nothing at the first plane, and labels follow it.

    Args:
        smear_px: Length of the way during the exposure of one plane.
        shift_px: Shift of the last plane of a stack against the first.
    """

    name = "drift"
    summary = "smeared along the drift, and shifted from plane to plane"
    source = "ours"
    levels: ClassVar[Levels] = {"smear_px": (3.0, 5.0, 8.0, 12.0, 18.0), "shift_px": (3.0, 6.0, 10.0, 16.0, 24.0)}
    along_stack = True

    smear_px: float
    shift_px: float

    def transfer(self, shape: torch.Size, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FilterCorruption`."""
        time = np.linspace(-0.5, 0.5, _SAMPLES)
        # The bow's mean is taken off, so that the centre of the way is where the labels are.
        along, aside = self.smear_px * time, self.smear_px * _BOW * (time**2 - np.mean(time**2))
        return smearing([_turned(along, aside, angle) for angle in _angles(seeds, self.name)], shape)

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        smeared = super().light(photons, seeds, acquisition)
        field = self.field(photons.shape, seeds, photons.device)
        return smeared if field is None else warp_images(smeared, field)

    def field(self, shape: torch.Size, seeds: Sequence[int], device: torch.device) -> torch.Tensor | None:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        if shape[2] == 1:
            return None
        way = torch.linspace(0, self.shift_px, shape[2])
        angles = torch.tensor(_angles(seeds, self.name), dtype=torch.float32)
        direction = torch.stack([torch.sin(angles), torch.cos(angles)], dim=1)
        shifts = -direction[:, :, None] * way
        return shifts.to(device)[..., None, None].expand(-1, -1, -1, *shape[-2:]).contiguous()


@dataclass(frozen=True)
class StageVibration(FilterCorruption):
    """A stage that swings many times during the exposure, on a narrow ellipse of random direction.

    Args:
        amplitude_px: Its half length.
    """

    name = "stage_vibration"
    summary = "smeared to and fro, most at the turning points"
    source = "mean over a harmonic motion; levels ours"
    levels: ClassVar[Levels] = {"amplitude_px": (1.5, 2.5, 4.0, 6.0, 9.0)}

    amplitude_px: float

    def transfer(self, shape: torch.Size, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FilterCorruption`."""
        phase = 2 * pi * (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        along, aside = self.amplitude_px * np.cos(phase), _ELLIPSE * self.amplitude_px * np.sin(phase)
        return smearing([_turned(along, aside, angle) for angle in _angles(seeds, self.name)], shape)


@dataclass(frozen=True)
class ScanLineJitter(FluorescenceCorruption):
    """Lines of a scanning microscope that start too early or too late; labels follow.

    All channels are scanned at once.

    Args:
        sigma_px: Standard deviation of the shift of a line.
    """

    name = "scan_line_jitter"
    summary = "every line shifted by a little"
    source = "independent shifts of lines along x; levels ours"
    levels: ClassVar[Levels] = {"sigma_px": (0.5, 1.0, 1.5, 2.5, 4.0)}

    sigma_px: float

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        return warp_images(photons, self._field(photons.shape, seeds, photons.device))

    def field(self, shape: torch.Size, seeds: Sequence[int], device: torch.device) -> torch.Tensor | None:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        return self._field(shape, seeds, device)

    def _field(self, shape: torch.Size, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        lines = (shape[2], shape[3], 1)
        drawn = draw_per_image(seeds, self.name, _CPU, lambda random: torch.randn(lines, generator=random))
        across = (self.sigma_px * drawn).to(device).expand(-1, -1, -1, shape[4])
        return torch.stack([torch.zeros_like(across), across], dim=1)


def smearing(paths: Sequence[NDArray[np.float64]], shape: torch.Size) -> torch.Tensor:
    """Filters [B, 2 H, W + 1] of points that move on ``paths``, one for each image: (n, 2) positions (y, x) in pixels
    that are passed at equal times."""
    transfers = np.stack([transfer_of(path_kernel(path).astype(np.float32), (shape[-2], shape[-1])) for path in paths])
    return torch.from_numpy(transfers)


def path_kernel(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image of a point that moves on a path (n, 2): odd-sized, centred, of sum 1; bilinear between pixels."""
    half = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    place = path + half
    corner = np.floor(place).astype(np.intp)
    (wy, wx), (y, x) = (place - corner).T, corner.T
    for dy, dx in np.ndindex(2, 2):
        np.add.at(kernel, (y + dy, x + dx), np.abs(1 - dy - wy) * np.abs(1 - dx - wx))
    return kernel / len(path)


def _angles(seeds: Sequence[int], stream: str) -> list[float]:
    """A direction of each image in radians, from x toward y."""
    drawn: list[float] = uniform_numbers(seeds, stream, 1, 0, 2 * pi, _CPU)[:, 0].tolist()
    return drawn


def _turned(along: NDArray[np.float64], aside: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Positions (y, x) of a path given along and beside a direction."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.stack([along * sine + aside * cosine, along * cosine - aside * sine], axis=1)
