"""What corruptions of fluorescence have in common: the order of physics, and what is done where truth is missing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Acquisition, Corrupted, Corruption, Family
from anyscope.corruptions.counting import poisson_like
from anyscope.corruptions.fluorescence.acquisition import assume_acquisition, full_scale
from anyscope.corruptions.fluorescence.filtering import filter_mirrored, noise_taken
from anyscope.corruptions.fluorescence.sensor import expose
from anyscope.corruptions.randomness import normal_like
from anyscope.errors import BadInput

Change = tuple[torch.Tensor, torch.Tensor]
"""Share of the photons that is kept (0..1) and photons that are added."""

_LEAST_LOSS = 1e-3
"""Losses of light smaller than this add no noise to a real image."""


class FluorescenceCorruption(Corruption):
    """A corruption that acts where it does in a microscope, and whose result is another exposure.

    *Exact* acquisitions (synthetic images): the expected photons are corrupted, then a camera takes the image anew with
    noise of its own. *Other* acquisitions (real images): the image itself is read as photons and changed, its noise
    with it, and noise is only *added*: for light that is lost or added, and for what a filter took. Without an
    acquisition, :func:`~anyscope.corruptions.fluorescence.acquisition.assume_acquisition` is taken.

    Values are on the scale of the uncorrupted image and may leave 0..1.
    """

    family: ClassVar[Family] = "fluorescence"
    new_exposure: ClassVar[bool] = True

    def __call__(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition | None = None) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        if acquisition is None:
            return self.degrade(images, seeds, assume_acquisition(images))
        if acquisition.photons.shape != images.shape:
            found = f"photons {tuple(acquisition.photons.shape)} of images {tuple(images.shape)}"
            raise BadInput(self.name, found, "an acquisition of these very images")
        return self.retake(acquisition, seeds) if acquisition.exact else self.degrade(images, seeds, acquisition)

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return self(images, seeds)

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:  # noqa: ARG002
        """What becomes of the expected photons [B, C, Z, H, W]; by default nothing."""
        return photons

    def field(self, shape: torch.Size, seeds: Sequence[int], device: torch.device) -> torch.Tensor | None:  # noqa: ARG002
        """How far pixels move, as in :class:`~anyscope.corruptions.corruption.Corrupted`; by default they do not."""
        return None

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """The result for an exact acquisition."""
        photons = self.light(acquisition.photons, seeds, acquisition)
        field = self.field(photons.shape, seeds, photons.device)
        return Corrupted(expose(acquisition, seeds, photons), field)

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """The result for any other acquisition."""
        change = self.light(acquisition.photons, seeds, acquisition) - acquisition.photons
        field = self.field(images.shape, seeds, images.device)
        return Corrupted(images + in_grey_levels(change, acquisition), field)


class FilterCorruption(FluorescenceCorruption):
    """A filter on the noise-free image.

    The filter of a real image blurs its noise as well. As noise comes after the optics, what the filter took of it is
    put back: white noise, as strong as it is found in the image.
    """

    @abstractmethod
    def transfer(self, shape: torch.Size, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:
        """The filter for images of ``shape`` [B, C, Z, H, W], as for
        :func:`~anyscope.corruptions.fluorescence.filtering.filter_mirrored`."""

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:
        """See :class:`FluorescenceCorruption`."""
        return filter_mirrored(photons, self.transfer(photons.shape, seeds, acquisition))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`FluorescenceCorruption`."""
        blurred = super().degrade(images, seeds, acquisition)
        white = normal_like(images, seeds, f"{self.name} noise")
        lost = noise_taken(images, self.transfer(images.shape, seeds, acquisition), white)
        return replace(blurred, images=blurred.images + lost)


class LightCorruption(FluorescenceCorruption):
    """Light that is lost or added pixel by pixel: photons become ``kept`` photons + ``added``.

    On real images the noise of the loss (that of a binomial share of photons) and of the addition (Poisson) is added.
    """

    @abstractmethod
    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:
        """``kept`` and ``added``, both broadcastable to [B, C, Z, H, W]."""

    def light(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> torch.Tensor:
        """See :class:`FluorescenceCorruption`."""
        kept, added = self.change(photons, seeds, acquisition)
        return photons * kept + added

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`FluorescenceCorruption`."""
        photons, efficiency = acquisition.photons, acquisition.camera.quantum_efficiency
        kept, added = self.change(photons, seeds, acquisition)
        electrons = efficiency * photons.clamp(min=0)
        noise = noise_of_loss(electrons, kept, seeds, self.name) + noise_of_addition(
            (efficiency * added).expand_as(photons), seeds, self.name
        )
        change = photons * (kept - 1) + added + noise / efficiency
        return Corrupted(images + in_grey_levels(change, acquisition))


def noise_of_loss(electrons: torch.Tensor, kept: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Noise that turns a dimmed noisy image into one taken with less light.

    A share f of n Poisson electrons has the variance f^2 n by dimming and n f (1 - f) by chance. The second is that of
    (1 - f) Poisson(n f / (1 - f)), which needs no whole numbers n.
    """
    lost = (1 - kept).expand_as(electrons)
    mean = electrons * kept
    step = lost.clamp(min=_LEAST_LOSS)
    noise = step * poisson_like(mean / step, seeds, f"{stream} loss") - mean
    return torch.where(lost > _LEAST_LOSS, noise, torch.zeros_like(noise))


def noise_of_addition(electrons: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Shot noise of added light."""
    return poisson_like(electrons.clamp(min=0), seeds, f"{stream} addition") - electrons.clamp(min=0)


def in_grey_levels(photons: torch.Tensor, acquisition: Acquisition) -> torch.Tensor:
    """A difference of photons on the scale of the images; 0 where the range is empty."""
    scale = full_scale(acquisition)
    scaled = photons / torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.where(scale > 0, scaled, torch.zeros_like(scaled))
