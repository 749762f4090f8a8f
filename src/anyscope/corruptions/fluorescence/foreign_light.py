"""Structured light from elsewhere: another channel, other planes, the specimen's own fluorescence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Acquisition, Levels
from anyscope.corruptions.fluorescence.acquisition import full_scale
from anyscope.corruptions.fluorescence.exposure import Change, FluorescenceCorruption, LightCorruption
from anyscope.corruptions.fluorescence.filtering import filter_mirrored, gaussian_transfer
from anyscope.corruptions.randomness import draw_per_image, uniform_numbers

_HAZE_SIGMA_PX = 12.0
_AUTOFLUORESCENCE_SIGMAS_PX = (3.0, 12.0)
# White noise under a Gaussian of width sigma keeps 1 / (4 pi sigma^2) of its variance; the logarithm of the light shall
# have a standard deviation of 0.6, half its variance from either size of clouds.
_SPREAD = 0.6 * (4 * pi / 2) ** 0.5


@dataclass(frozen=True)
class BleedThrough(FluorescenceCorruption):
    """Another dye in the channel: I_c = F_c + level * sum of F_j over the other channels.

    An image of one channel gets light of another field of the same specimen: the image mirrored along both axes and
    moved by a random way, mirrored at the borders. On real images the other structure comes with its noise.

    Args:
        level: Entry of the mixing matrix beside its diagonal of ones.
    """

    name = "bleed_through"
    summary = "structure of another channel shines through"
    source = "linear mixing I = M F with 0.02 to 0.3 beside the diagonal; strongest level ours"
    levels: ClassVar[Levels] = {"level": (0.05, 0.1, 0.2, 0.3, 0.5)}

    level: float

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        alone = photons.shape[1] == 1
        others = _elsewhere(photons, seeds) if alone else photons.sum(dim=1, keepdim=True) - photons
        return photons + self.level * others


@dataclass(frozen=True)
class OutOfFocusHaze(LightCorruption):
    """Light of the specimen above and below the plane: the image and its mirror image under a Gaussian of 12 pixels.

    Args:
        level: Haze of either side relative to the light in focus.
    """

    name = "out_of_focus_haze"
    summary = "blurred light from above and below the plane"
    source = "wide-field haze of the microscope in anyscope.microscope; levels ours"
    levels: ClassVar[Levels] = {"level": (0.15, 0.3, 0.6, 1.0, 1.8)}

    level: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        both = photons + photons.flip((-2, -1))
        transfer = gaussian_transfer(_HAZE_SIGMA_PX, (photons.shape[-2], photons.shape[-1]))
        return photons.new_tensor(1.0), self.level * filter_mirrored(both, transfer).clamp_(min=0)


@dataclass(frozen=True)
class Autofluorescence(LightCorruption):
    """Uneven light of the specimen itself: a log-normal field of clouds of 3 and 12 pixels.

    Args:
        level: Its mean, relative to the photons between the grey levels 0 and 1.
    """

    name = "autofluorescence"
    summary = "clouds of light that the dye did not make"
    source = "ours"
    levels: ClassVar[Levels] = {"level": (0.05, 0.1, 0.2, 0.35, 0.6)}

    level: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        clouds = _clouds(photons, seeds)
        return photons.new_tensor(1.0), self.level * full_scale(acquisition) * clouds


def _elsewhere(photons: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
    """Images mirrored along both axes and moved over their mirror tiling."""
    height, width = photons.shape[-2:]
    shifts = uniform_numbers(seeds, BleedThrough.name, 2, 0.25, 0.75, torch.device("cpu"))
    moved = []
    for image, (down, across) in zip(photons, shifts.tolist(), strict=True):
        rows, columns = _mirrored_walk(height, down), _mirrored_walk(width, across)
        moved.append(image[..., rows.to(image.device), :][..., columns.to(image.device)])
    return torch.stack(moved)


def _mirrored_walk(length: int, share: float) -> torch.Tensor:
    """Backward from ``share`` of the length, and forward again from the border on."""
    place = (int(share * length) - torch.arange(length)) % (2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)


def _clouds(photons: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
    """Log-normal fields [B, 1, Z, H, W], each plane of mean 1; the channels see the same."""
    shape = (1, *photons.shape[2:])
    size = (shape[-2], shape[-1])
    clouds = torch.zeros((len(photons), *shape), device=photons.device)
    for index, sigma in enumerate(_AUTOFLUORESCENCE_SIGMAS_PX):
        white = draw_per_image(
            seeds,
            f"{Autofluorescence.name} {index}",
            photons.device,
            lambda random: torch.randn(shape, generator=random, device=photons.device),
        )
        clouds = clouds + filter_mirrored(white, gaussian_transfer(sigma, size)) * sigma * _SPREAD
    light = torch.exp(clouds)
    return light / light.mean(dim=(-2, -1), keepdim=True)
