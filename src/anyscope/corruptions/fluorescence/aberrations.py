"""What a lens out of focus or out of order does to the noise-free image.

The image has been made through the reference optics of its acquisition already. It is filtered by what separates
these from the aberrated optics, so that the expected photons become those of an image taken through the aberrated ones.
On real images the filter acts on the image, and the noise that it takes is put back.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Acquisition, Corrupted, Levels
from anyscope.corruptions.fluorescence.acquisition import depth_of_field_um
from anyscope.corruptions.fluorescence.exposure import FilterCorruption, FluorescenceCorruption
from anyscope.corruptions.fluorescence.filtering import differential_transfer, filters_mirrored, noise_taken
from anyscope.corruptions.randomness import normal_like
from anyscope.microscope import Optics
from anyscope.microscope.optics import illumination_profile
from anyscope.seeding import generator

_ZERNIKE = "Zernike phase in the pupil, normalised as by Noll 1976, J Opt Soc Am 66:207 (arXiv 2404.08549); levels ours"
_WAVES = (0.1, 0.15, 0.2, 0.3, 0.45)
_NODES = 5


def defocused(optics: Optics, depths_of_field: float) -> Optics:
    """The same optics so many depths of field (lambda n / NA^2) further from focus."""
    shift_um = depths_of_field * depth_of_field_um(optics)
    return optics.changed(defocus_um=optics.defocus_um + (-shift_um if optics.defocus_um < 0 else shift_um))


def diffracting(optics: Optics) -> Optics:
    """The same optics by a model that knows of focus: of a Gaussian, the perfect lens of its NA."""
    return optics.changed(psf="gibson_lanni") if optics.psf == "gaussian" else optics


class Aberration(FilterCorruption):
    """Other optics for the whole field."""

    @abstractmethod
    def optics(self, reference: Optics) -> tuple[Optics, Optics]:
        """The reference optics and the aberrated ones, both by a model that can describe the aberration."""

    def transfer(self, shape: torch.Size, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FilterCorruption`."""
        return differential_transfer(*self.optics(acquisition.optics), (shape[-2], shape[-1]))


@dataclass(frozen=True)
class DefocusFluorescence(Aberration):
    """The specimen out of focus, by the Gibson-Lanni or pupil model of the acquisition's optics.

    Args:
        depths_of_field: Distance from focus in units of lambda n / NA^2.
    """

    name = "defocus_fluorescence"
    summary = "out of focus, by the point spread function"
    source = "Gibson, Lanni 1992, J Opt Soc Am A 9:154; levels ours"
    levels: ClassVar[Levels] = {"depths_of_field": (1.0, 1.5, 2.0, 3.0, 4.0)}

    depths_of_field: float

    def optics(self, reference: Optics) -> tuple[Optics, Optics]:
        """See :class:`Aberration`."""
        start = diffracting(reference)
        return start, defocused(start, self.depths_of_field)


@dataclass(frozen=True)
class ZernikeAberration(Aberration):
    """A Zernike aberration, added to that of the reference optics if they have the same.

    Args:
        waves: Its root mean square over the pupil, in wavelengths.
    """

    levels: ClassVar[Levels] = {"waves": _WAVES}
    coefficient: ClassVar[str]
    """Which of the optics' parameters grows."""

    waves: float

    def optics(self, reference: Optics) -> tuple[Optics, Optics]:
        """See :class:`Aberration`."""
        start = reference.changed(psf="pupil")
        present: float = getattr(start, self.coefficient)
        return start, start.changed(**{self.coefficient: present + (-self.waves if present < 0 else self.waves)})


@dataclass(frozen=True)
class SphericalAberration(ZernikeAberration):
    """Primary spherical aberration, as from a wrong coverslip or collar, or deep in a specimen of another index.

    Args:
        waves: Its root mean square over the pupil, in wavelengths.
    """

    name = "spherical_aberration"
    summary = "rims and centre of the lens focus at different depths"
    source = _ZERNIKE
    coefficient = "spherical_waves"


@dataclass(frozen=True)
class Astigmatism(ZernikeAberration):
    """Primary astigmatism along the axes of the image.

    Args:
        waves: Its root mean square over the pupil, in wavelengths.
    """

    name = "astigmatism"
    summary = "points become crosses"
    source = _ZERNIKE
    coefficient = "astigmatism_waves"


@dataclass(frozen=True)
class Coma(ZernikeAberration):
    """Primary coma along x. The image as a whole does not move: its straight edges stay in place.

    Args:
        waves: Its root mean square over the pupil, in wavelengths.
    """

    name = "coma"
    summary = "points grow a tail"
    source = _ZERNIKE
    coefficient = "coma_waves"


@dataclass(frozen=True)
class Trefoil(ZernikeAberration):
    """Trefoil, as from a strained lens.

    Args:
        waves: Its root mean square over the pupil, in wavelengths.
    """

    name = "trefoil"
    summary = "points become three-pointed stars"
    source = _ZERNIKE
    coefficient = "trefoil_waves"


@dataclass(frozen=True)
class SpatiallyVariantBlur(FluorescenceCorruption):
    """A curved or tilted field: sharp around a random point near the middle, out of focus toward the corners.

    Defocus grows with the square of the distance. Between five filtered images it is interpolated.

    Args:
        depths_of_field: Defocus of the farthest corner in units of lambda n / NA^2.
    """

    name = "spatially_variant_blur"
    summary = "sharp in the middle, out of focus toward the corners"
    source = (
        "Zhong, Li, Yang 2024, doi 10.1186/s12859-024-05894-4, blur in strips by their predecessor; smooth here, ours"
    )
    levels: ClassVar[Levels] = {"depths_of_field": (1.5, 2.0, 3.0, 4.0, 6.0)}

    depths_of_field: float

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        place = self._place(photons, seeds)
        blurred = photons * (1 - place).clamp(min=0)
        filtered = filters_mirrored(photons, self._filters(photons.shape, acquisition.optics))
        for node, image in enumerate(filtered, start=1):
            blurred = blurred + image * (1 - (place - node).abs()).clamp(min=0)
        return blurred

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FilterCorruption`, which does the same."""
        result = super().degrade(images, seeds, acquisition).images
        white, place = normal_like(images, seeds, f"{self.name} noise"), self._place(images, seeds)
        for node, transfer in enumerate(self._filters(images.shape, acquisition.optics), start=1):
            result = result + noise_taken(images, transfer, white) * (1 - (place - node).abs()).clamp(min=0)
        return Corrupted(result)

    def _place(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """Between which nodes [B, 1, 1, H, W] a pixel lies: 0 where it is sharp, 4 in the farthest corner."""
        distance = _squared_distance(seeds, (images.shape[-2], images.shape[-1]))
        return distance.to(images)[:, None, None] * (_NODES - 1)

    def _filters(self, shape: torch.Size, optics: Optics) -> Iterator[torch.Tensor]:
        """Those of the nodes, at equal steps of defocus."""
        start = diffracting(optics)
        for node in range(1, _NODES):
            there = defocused(start, self.depths_of_field * node / (_NODES - 1))
            yield differential_transfer(start, there, (shape[-2], shape[-1]))


def _squared_distance(seeds: Sequence[int], shape: tuple[int, int]) -> torch.Tensor:
    """Squared distance [B, H, W] from a point of each image, 0..1."""
    profiles = [
        illumination_profile(generator(seed, "corruption", SpatiallyVariantBlur.name), shape, 1.0) for seed in seeds
    ]
    return 1 - torch.stack([torch.from_numpy(profile) for profile in profiles])
