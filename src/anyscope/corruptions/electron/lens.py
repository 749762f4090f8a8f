"""The objective lens out of focus: the contrast transfer function, with its zeros and reversals of contrast.

Stained sections scatter electrons out of the aperture: they are amplitude objects, whose contrast a lens transfers by
``cos(chi)`` with ``chi(k) = pi lambda D k^2 - pi/2 Cs lambda^3 k^4`` at spatial frequency ``k`` and defocus ``D``
(Reimer and Kohl, Transmission Electron Microscopy, 5th edition, chapter 6), damped by the finite source:
``exp(-(pi alpha (D k - Cs lambda^2 k^3))^2)`` (Frank, Optik 38, 1973). The microscope and the size of a pixel are
assumed, so that levels mean the same in pixels for every image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.filters import mirrored
from anyscope.corruptions.planes import plane_numbers

PIXEL_NM = 4.0
VOLTAGE_V = 120e3
SPHERICAL_NM = 2e6
SOURCE_ANGLE_RAD = 5e-6
BORDER_PX = 64
"""Images are mirrored so far beyond their edges, because the transfer wraps round."""
MODEL = "contrast transfer of an amplitude object, 120 kV, Cs 2 mm, 4 nm pixels (Reimer, Kohl; Frank 1973); levels ours"


def wavelength_nm(voltage_v: float) -> float:
    """Relativistic wavelength of electrons.

    >>> round(wavelength_nm(120e3) * 1000, 2)
    3.35
    """
    return 1.226426 / math.sqrt(voltage_v * (1 + 0.9784756e-6 * voltage_v))


def transfer(frequency_per_nm: torch.Tensor, defocus_nm: torch.Tensor | float) -> torch.Tensor:
    """Contrast transfer of an amplitude object, 1 at frequency 0.

    Args:
        frequency_per_nm: Spatial frequencies.
        defocus_nm: Defocus in the direction of each.
    """
    wavelength = wavelength_nm(VOLTAGE_V)
    squared = frequency_per_nm**2
    spherical = SPHERICAL_NM * wavelength**2 * squared
    phase = math.pi * wavelength * squared * (defocus_nm - spherical / 2)
    damping = (math.pi * SOURCE_ANGLE_RAD * frequency_per_nm * (defocus_nm - spherical)) ** 2
    return torch.cos(phase) * torch.exp(-damping)


def transferred(images: torch.Tensor, defocus_nm: float, astigmatism_nm: float, turn: torch.Tensor) -> torch.Tensor:
    """Images [B, C, Z, H, W] through a lens whose defocus is larger by half of ``astigmatism_nm`` in one direction, and
    smaller at right angles to it.

    Args:
        images: In 0..1.
        defocus_nm: Mean defocus.
        astigmatism_nm: Largest less least defocus.
        turn: That direction for every plane [B, Z, 1, 1], in half turns.
    """
    border = min(BORDER_PX, *images.shape[-2:])
    wide = mirrored(images, border)
    height, width = wide.shape[-2:]
    down = torch.fft.fftfreq(height, PIXEL_NM, device=images.device)[:, None]
    right = torch.fft.rfftfreq(width, PIXEL_NM, device=images.device)
    direction = 2 * torch.atan2(down, right) - 2 * math.pi * turn
    defocus = defocus_nm + astigmatism_nm / 2 * torch.cos(direction)
    gain = transfer(torch.hypot(down, right), defocus)
    result: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(wide).mul_(gain[:, None]), s=(height, width))
    return result[..., border : height - border, border : width - border].contiguous()


@dataclass(frozen=True)
class CtfDefocus(Corruption):
    """A lens out of focus; see the module.

    Args:
        defocus_um: How far.
    """

    name = "ctf_defocus"
    family = "electron"
    summary = "defocus of the objective lens, with reversals of contrast"
    source = MODEL
    levels: ClassVar[Levels] = {"defocus_um": (20, 40, 80, 160, 320)}

    defocus_um: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        anywhere = images.new_zeros((1, 1, 1, 1))
        return Corrupted(transferred(images, 1000 * self.defocus_um, 0, anywhere).clamp_(0, 1))


@dataclass(frozen=True)
class CtfAstigmatism(Corruption):
    """A lens that is in focus on the mean and astigmatic, in a direction of its own for every plane; see the module.

    Args:
        astigmatism_um: Difference of the defocus in two directions at right angles.
    """

    name = "ctf_astigmatism"
    family = "electron"
    summary = "astigmatism of the objective lens"
    source = MODEL
    levels: ClassVar[Levels] = {"astigmatism_um": (40, 80, 160, 320, 640)}

    astigmatism_um: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        [turn] = plane_numbers(seeds, self.name, images, 1)
        return Corrupted(transferred(images, 0, 1000 * self.astigmatism_um, turn).clamp_(0, 1))
