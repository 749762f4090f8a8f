"""Light that is missing, and light that does not belong there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from anyscope.corruptions.corruption import Acquisition, Corrupted, Levels
from anyscope.corruptions.fluorescence.acquisition import full_scale, to_scale
from anyscope.corruptions.fluorescence.exposure import Change, LightCorruption, in_grey_levels
from anyscope.corruptions.randomness import normal_like
from anyscope.errors import BadInput
from anyscope.microscope import expose_to_snr, light_needed, snr
from anyscope.microscope.camera import expected_image, take_image
from anyscope.microscope.optics import illumination_profile
from anyscope.seeding import generator


@dataclass(frozen=True)
class PhotonLoss(LightCorruption):
    """Less light: a shorter exposure or a dimmer dye.

    With an exact acquisition and its foreground, every plane gets exactly the ``snr``, by the definition of
    :mod:`anyscope.microscope.exposure`; but never more light than it had. Planes without foreground, background or
    contrast have no SNR, and real images no known one: these keep the share ``kept`` of their photons. Shot noise is
    added to real images, and what their read noise lost by dimming.

    Args:
        snr: Signal-to-noise ratio.
        kept: Share of photons that brings an image of SNR 8 with shot noise alone to that ratio: (snr / 8)^2.
    """

    name = "photon_loss"
    summary = "less light, and so more shot noise"
    source = "SNR of Zhong, Li, Yang 2024, doi 10.1186/s12859-024-05894-4, whose clean images have 8; levels ours"
    levels: ClassVar[Levels] = {"snr": (6.0, 4.0, 3.0, 2.0, 1.5), "kept": (0.5625, 0.25, 0.140625, 0.0625, 0.03515625)}

    snr: float
    kept: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        return photons.new_tensor(self.kept), photons.new_tensor(0.0)

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        if acquisition.foreground is None:
            return super().retake(acquisition, seeds)
        photons = acquisition.photons.cpu().numpy()
        foreground = acquisition.foreground.cpu().numpy()
        numbers = np.empty(photons.shape, np.float32)
        for index, seed in enumerate(seeds):
            for channel, z in np.ndindex(photons.shape[1:3]):
                random = generator(seed, "corruption", self.name, channel, z)
                plane, mask = photons[index, channel, z], foreground[index, z]
                numbers[index, channel, z] = self._expose(acquisition, plane, mask, random)
        return Corrupted(to_scale(torch.from_numpy(numbers).to(acquisition.photons.device), acquisition))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        dimmed = super().degrade(images, seeds, acquisition).images
        camera = acquisition.camera
        lost = camera.read_noise_e * (1 - self.kept**2) ** 0.5 / (camera.em_gain * camera.quantum_efficiency)
        return Corrupted(dimmed + in_grey_levels(lost * normal_like(images, seeds, f"{self.name} read"), acquisition))

    def _expose(
        self, acquisition: Acquisition, photons: np.ndarray, foreground: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Digital numbers (y, x) of one plane."""
        camera = acquisition.camera
        side = camera.binning
        relative = (photons.repeat(side, 0).repeat(side, 1) / side**2).astype(np.float32)
        try:
            light, scatter = light_needed(camera, relative, foreground, self.snr)
            if light * (1 + scatter) > 1:  # the image may have no more than that
                full = take_image(camera, relative, random)
                if snr(full, foreground, ~foreground, expected_image(camera, relative)) <= self.snr:
                    return full
            exposure = expose_to_snr(camera, relative, foreground, self.snr, random)
        except BadInput:  # no foreground, no background, no contrast
            return take_image(camera, relative * np.float32(self.kept), random)
        return exposure.image


@dataclass(frozen=True)
class Background(LightCorruption):
    """Uniform light from medium, dye in solution, or a room that is not dark.

    Args:
        level: Photons added to every pixel, relative to those between the grey levels 0 and 1.
    """

    name = "background"
    summary = "uniform light, and its shot noise, over everything"
    source = "added before the Poisson noise (BaSiC's D(x), doi 10.1038/ncomms14836); levels ours"
    levels: ClassVar[Levels] = {"level": (0.25, 0.5, 1.0, 2.0, 4.0)}

    level: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        return photons.new_tensor(1.0), self.level * full_scale(acquisition)


@dataclass(frozen=True)
class UnevenIllumination(LightCorruption):
    """Excitation that falls off from a random point near the middle to the corners.

    All light of the image is excited by it, its background too.

    Args:
        falloff: Loss from the brightest to the dimmest point of the field.
    """

    name = "uneven_illumination"
    summary = "bright in the middle, dim in the corners"
    source = "I = S(x) I_true, BaSiC, doi 10.1038/ncomms14836, where 0.1 to 0.3 is usual; levels ours"
    levels: ClassVar[Levels] = {"falloff": (0.3, 0.45, 0.6, 0.75, 0.9)}

    falloff: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        shape = (photons.shape[-2], photons.shape[-1])
        profiles = [
            illumination_profile(generator(seed, "corruption", self.name), shape, self.falloff) for seed in seeds
        ]
        stacked = torch.stack([torch.from_numpy(profile) for profile in profiles])
        return stacked.to(photons)[:, None, None], photons.new_tensor(0.0)


@dataclass(frozen=True)
class Photobleaching(LightCorruption):
    """Dye that fades while the planes of a stack are taken one after the other, before shot noise.

    Plane z of n keeps ``remaining ** (z / (n - 1))`` of its light, which is e^(-k t). A single plane counts as the
    last.

    Args:
        remaining: Share of light of the last plane.
    """

    name = "photobleaching"
    summary = "light fades exponentially along the stack"
    source = "e^(-k t), J Microsc 1998, doi 10.1046/j.1365-2818.1998.00412.x; levels ours, 80 to 10 % remaining"
    levels: ClassVar[Levels] = {"remaining": (0.8, 0.6, 0.4, 0.25, 0.1)}
    along_stack = True

    remaining: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        depth = photons.shape[2]
        passed = torch.linspace(0, 1, depth) if depth > 1 else torch.ones(1)
        return (self.remaining**passed).to(photons)[:, None, None], photons.new_tensor(0.0)
